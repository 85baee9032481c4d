import numpy as np
import pytest
from band_schedules import VERSION_2
from sampled_levels import COUNT, draw_levels, ks_pvalue, numbers

from tqd_probe.core.errors import InputError
from tqd_probe.sampling.registry import make_sampler
from tqd_probe.schedules.band_schedule import BandSchedule


def test_bands_never_draw_outside(schedule):
    sampler = make_sampler("bands", schedule=schedule, base="logit_normal", shift=2)
    found = draw_levels(sampler, "visual_degraded")
    assert found.min() >= 0.6
    both = draw_levels(sampler, "motion_degraded")
    low, high = both <= 0.3, (both >= 0.5) & (both <= 0.7)
    assert (low | high).all()
    base = sampler.base
    edges = base.cdf(np.array([0.0, 0.3, 0.5, 0.7]))
    expected = edges[1] / (edges[1] + edges[3] - edges[2])
    assert low.mean() == pytest.approx(expected, abs=4 * np.sqrt(0.25 / COUNT))

    def truth(x):
        return (base.cdf(x) - base.cdf(0.6)) / (1 - base.cdf(0.6))

    assert ks_pvalue(found, truth) > 0.01
    assert ks_pvalue(draw_levels(sampler, "golden"), base.cdf) > 0.01


def test_classes_without_bands_are_refused(schedule):
    with pytest.raises(InputError) as error:
        make_sampler("bands", schedule=schedule).sample(
            ["both_degraded"] * 2, None, None, numbers()
        )
    assert "'both_degraded', 2 clips: not measured by the schedule" in str(error.value)
    assert str(error.value).endswith("out with --drop-class both_degraded")
    bare = schedule.model_copy(deep=True)
    bare.classes["visual_degraded"].bands = []
    with pytest.raises(InputError, match="'visual_degraded' is trained at no level"):
        make_sampler("bands", schedule=bare).sample(
            ["golden", "visual_degraded"], None, None, numbers()
        )


def test_an_unmeasured_class_is_refused_with_the_schedules_reason():
    value = {**VERSION_2, "mixture": None}
    sampler = make_sampler("bands", schedule=BandSchedule.model_validate(value))
    with pytest.raises(InputError, match=r"schedule \(no degraded copies and no"):
        sampler.sample(["both_degraded"], None, None, numbers())
    assert sampler.sample(["visual_degraded"], None, None, numbers()).shape == (1,)
