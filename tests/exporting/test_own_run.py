import json

import numpy as np
import pytest
from band_schedules import VERSION_2

from tqd_probe.core.errors import InputError
from tqd_probe.exporting.own_run import OwnRun

SETTINGS = {
    "sampler": "bands",
    "schedule": "bands.json",
    "base": "uniform",
    "logit_mean": 0.0,
    "logit_std": 1.0,
    "shift": 3.0,
    "space": "u",
    "expert": None,
    "reprobe_every": 0,
}
COUNTS = {"golden": [30] * 10, "visual_degraded": [0] * 7 + [20, 40, 40]}


def preview(tmp_path, counts=COUNTS, density=None, base_cdf=None, **changed):
    schedule = VERSION_2 | {"density": density}
    (tmp_path / "bands.json").write_text(json.dumps(schedule))
    (tmp_path / "run.json").write_text(json.dumps({"settings": SETTINGS | changed}))
    if counts:
        noted = {"counts": counts} | ({"base_cdf": base_cdf} if base_cdf else {})
        (tmp_path / "density.json").write_text(json.dumps(noted))
    assert OwnRun().recognises(tmp_path)
    return OwnRun().preview(tmp_path, None).trained


def test_bands_by_class(tmp_path):
    golden, visual = preview(tmp_path)
    assert (golden.share, visual.share) == (0.75, 0.25)
    assert golden.levels.cdf(0.75) == pytest.approx(0.5)
    # masses of u in the bands 0.1-0.2 and 0.72-1.0 at shift 3
    first = 0.2 / (3 - 0.4) - 0.1 / (3 - 0.2)
    second = 1 - 0.72 / (3 - 1.44)
    assert visual.levels.mass([(0.1, 0.2)]) == pytest.approx(first / (first + second))


def test_an_expert_has_its_part_of_the_bands(tmp_path):
    golden, visual = preview(tmp_path, expert="high", shift=None)
    assert golden.levels.cdf(np.array([0.875, 0.9375])) == pytest.approx([0, 0.5])
    assert visual.levels.mass([(0.875, 1.0)]) == pytest.approx(1.0)
    assert {golden.expert, visual.expert} == {"high"}


def test_samplers_without_classes(tmp_path):
    (all_clips,) = preview(tmp_path, sampler="logit_normal", schedule=None)
    assert all_clips.rule == "logit-normal(0, 1), shift 3"
    assert all_clips.levels.cdf(0.75) == pytest.approx(0.5)


def test_levels_of_a_family_with_timesteps_are_those_that_its_run_notes(tmp_path):
    """CogVideoX draws timesteps evenly: here sigma with the density 2 sigma."""
    noted = (np.linspace(0, 1, 101) ** 2).tolist()
    golden, visual = preview(tmp_path, base_cdf=noted, shift=1.0)
    assert golden.levels.cdf(0.5) == pytest.approx(0.25)
    first, second = 0.2**2 - 0.1**2, 1 - 0.72**2
    assert visual.levels.mass([(0.1, 0.2)]) == pytest.approx(first / (first + second))
    assert "timesteps of the family" in golden.rule
    formula = preview(tmp_path, base_cdf=np.linspace(0, 1, 101).tolist(), shift=1.0)
    assert formula[0].rule == "uniform, in its bands"


@pytest.mark.parametrize("noted", [[0.0, 0.5], [0.6, 0.5, 1.0], "x", [0.0, None, 1.0]])
def test_a_base_density_that_is_none_is_refused(tmp_path, noted):
    with pytest.raises(InputError, match=r"density\.json: base_cdf: needs prob"):
        preview(tmp_path, base_cdf=noted)


def test_a_measured_density_is_read_from_the_schedule(tmp_path):
    """Of levels .05 and .15 at densities 3 and .6..: constant from .15 on."""
    values = [3.0, (1 - 3 * 0.1) / 0.9]  # 3 x .05 + the ramp of .1 + .85 x the second
    density = {"of": "golden_signal", "values": values}
    for sampler, base in (("measured", "uniform"), ("bands", "measured")):
        rows = preview(
            tmp_path, sampler=sampler, base=base, shift=None, density=density
        )
        assert rows[0].rule.startswith("measured density")
        assert rows[0].levels.cdf(0.05) == pytest.approx(0.15)
        assert rows[0].levels.cdf(1.0) == pytest.approx(1)
    (found,) = (rows[1].levels.cdf(np.array([0.2])),)
    assert 0.2 < found[0] < 0.5  # of the bands .1-.2 and .72-1
    with pytest.raises(InputError, match="density: null or missing"):
        preview(tmp_path, sampler="measured")
    with pytest.raises(InputError, match=r"settings\.schedule: missing"):
        preview(tmp_path, sampler="measured", schedule=None)


def test_draws_of_beta_and_mixture_are_counted(tmp_path):
    golden, visual = preview(tmp_path, sampler="mixture")
    assert golden.levels.cdf(0.35) == pytest.approx(0.35)
    assert visual.levels.mass([(0.8, 1.0)]) == pytest.approx(0.8)
    (tmp_path / "density.json").unlink()
    with pytest.raises(InputError, match="depend on each clip and are counted there"):
        preview(tmp_path, counts=None, sampler="beta")


@pytest.mark.parametrize("counts", ["abc", 5, [None], [-1, 2], [float("nan")], []])
def test_counts_that_are_none_are_refused(tmp_path, counts):
    with pytest.raises(InputError, match=r"density.json: counts.golden: needs a list"):
        preview(tmp_path, {"golden": counts}, sampler="beta")
    with pytest.raises(InputError, match=r"counts.foo: no class; choose from"):
        preview(tmp_path, {"foo": [1]}, sampler="beta")
    with pytest.raises(InputError, match=r"settings.sampler: 'frob'; choose from"):
        preview(tmp_path, sampler="frob")


def test_other_runs_are_refused(tmp_path):
    (tmp_path / "run.json").write_text('{"settings": {"seed": 0}}')
    with pytest.raises(InputError, match=r"settings.sampler: missing"):
        OwnRun().preview(tmp_path / "run.json", None)
