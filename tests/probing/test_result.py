import json

import numpy as np
import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.probing.derive_schedule import derive_schedule
from tqd_probe.probing.result import ProbeResult, as_array, as_bounds
from tqd_probe.schedules.band_schedule import BandSchedule


@pytest.fixture
def content(probe_run):
    return json.loads((probe_run / "gradsim.json").read_text())


def damaged(content, tmp_path):
    path = tmp_path / "gradsim.json"
    path.write_text(json.dumps(content))
    return path


def test_saved_again_it_has_the_same_bytes(probe_run, tmp_path):
    result = ProbeResult.load(probe_run / "gradsim.json")
    result.save(tmp_path / "again.json")
    expected = (probe_run / "gradsim.json").read_bytes()
    assert (tmp_path / "again.json").read_bytes() == expected
    schedule = BandSchedule.load(probe_run / "bands.json")
    assert derive_schedule(result) == schedule


def test_the_table_has_a_row_per_comparison_and_level(probe_run, content):
    table = ProbeResult.load(probe_run / "gradsim.json").table()
    levels = content["noise"]["levels"]
    assert len(table) == len(content["subjects"]) * len(levels)
    for name, curves in content["subjects"].items():
        rows = table[table["subject"] == name]
        assert list(rows["sigma"]) == levels
        assert list(rows["logsnr"]) == content["noise"]["logsnr"]
        assert list(rows["resolved"]) == content["golden"]["resolved"]
        assert set(rows["kind"]) == {curves["kind"]}
        for key in ("cosine", "cosine_naive", "norm_ratio", "bias2", "sketch_error"):
            np.testing.assert_array_equal(rows[key], as_array(curves[key]))
        for key in ("cosine", "norm_ratio", "bias2"):
            bounds = rows[[f"{key}_low", f"{key}_high"]]
            np.testing.assert_array_equal(bounds, as_bounds(curves[f"{key}_ci"]))


def test_a_result_that_stores_a_command_is_still_read(content, tmp_path):
    """Files of earlier versions: the command instead of settings, fewer fields."""
    content["provenance"] = {"tool_version": "0.1.0", "argv": ["gradsim"], "seed": 0}
    for key in ("cross_level", "mixture", "severities"):
        del content[key]
    del content["noise"]["range"]
    for curves in content["subjects"].values():
        del curves["clips"], curves["paired"]
    result = ProbeResult.load(damaged(content, tmp_path))
    assert result.provenance.argv == ["gradsim"]
    assert derive_schedule(result).classes["visual_degraded"].clips == 5


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda r: r.update(format="other"), "format: "),
        (lambda r: r.update(version=2), "version: "),
        (lambda r: r.update(colour="red"), "colour: "),
        (lambda r: r["golden"].pop("snr"), "golden.snr: "),
        (lambda r: r["golden"]["snr"].pop(), "golden.snr: 2 values for 3"),
        (lambda r: r["noise"].update(levels=[0.1, 0.5, 2]), "noise.levels.2: "),
        (lambda r: r["subjects"]["blur:4"].update(cosine="x"), "subjects.blur:4.cosi"),
        (
            lambda r: r["subjects"]["blur:4"]["cosine_ci"].pop(),
            "subjects.blur:4.cosine_ci: 2 values for 3",
        ),
        (
            lambda r: r["modules"]["head"]["subjects"].pop("blur:4"),
            "modules.head.subjects: no blur:4",
        ),
        (lambda r: r.update(covered_share=float("nan")), "covered_share: "),
    ],
)
def test_a_fault_is_one_line_with_file_and_field(content, tmp_path, change, place):
    change(content)
    path = damaged(content, tmp_path)
    with pytest.raises(InputError) as error:
        ProbeResult.load(path)
    assert str(error.value).startswith(f"{path}: {place}")
    assert "run gradsim again" in str(error.value)
    assert "\n" not in str(error.value)


def test_undefined_values_are_nan():
    np.testing.assert_array_equal(as_array([1.0, None]), [1.0, np.nan])
    np.testing.assert_array_equal(
        as_bounds([None, (0.5, 1.0)]), [[np.nan, np.nan], [0.5, 1.0]]
    )
    assert as_bounds([]).shape == (0, 2)
