import numpy as np
import pytest
from sampled_levels import COUNT, draw_levels, ks_pvalue, numbers

from tqd_probe.core.errors import InputError
from tqd_probe.sampling.registry import make_sampler


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
    with pytest.raises(InputError, match="'both_degraded': not in the schedule"):
        make_sampler("bands", schedule=schedule).sample(
            ["both_degraded"], None, None, numbers()
        )
    bare = schedule.model_copy(deep=True)
    bare.classes["visual_degraded"].bands = []
    with pytest.raises(InputError, match="'visual_degraded' is trained at no level"):
        make_sampler("bands", schedule=bare).sample(
            ["golden", "visual_degraded"], None, None, numbers()
        )
