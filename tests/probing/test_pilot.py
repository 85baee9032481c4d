import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.probing.pilot import run_pilot
from tqd_probe.probing.settings import ProbeRunSettings


def settings(pipeline, tmp_path, **more):
    values = {
        "num_clips": 5,
        "least_clips": 4,
        "degradations": "blur:4,freeze:5",
        "device": "cpu",
    }
    return ProbeRunSettings(ckpt=str(pipeline), out=tmp_path / "p", **values | more)


def test_a_pilot_measures_lowest_middle_and_highest_level(pipeline, tmp_path):
    found = run_pilot(settings(pipeline, tmp_path, levels="9"), progress=False)
    assert found.sigmas == pytest.approx([1 / 18, 0.5, 17 / 18])
    assert (found.clips, found.versions) == (5, 3)
    assert len(found.golden) == len(found.forecasts) == 3
    names = {"visual_degraded", "motion_degraded", "blur:4", "freeze:5"}
    assert all(set(level) == names for level in found.forecasts)
    assert found.seconds > 0
    assert not (tmp_path / "p").exists()


def test_one_level_counts_once(pipeline, tmp_path):
    found = run_pilot(settings(pipeline, tmp_path, levels="0.4"), progress=False)
    assert found.sigmas.tolist() == [0.4]
    assert len(found.golden) == len(found.forecasts) == 1


def test_a_pilot_needs_degraded_copies(pipeline, tmp_path):
    with pytest.raises(InputError, match="--plan: plans degraded copies"):
        run_pilot(settings(pipeline, tmp_path, degradations="none"), progress=False)
