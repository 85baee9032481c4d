import numpy as np
from sampled_levels import draw_levels, ks_pvalue
from scipy.stats import norm

from tqd_probe.core.noise import shift_sigma
from tqd_probe.sampling.registry import make_sampler


def test_baselines_and_the_shift():
    flat = draw_levels(make_sampler("uniform", shift=1))
    assert ks_pvalue(flat, "uniform") > 0.01
    shifted = draw_levels(make_sampler("uniform", shift=3))
    assert abs(shifted - shift_sigma(flat, 3)).max() < 1e-9
    normal = make_sampler("logit_normal", logit_mean=0.5, logit_std=1.5, shift=3)
    u = draw_levels(make_sampler("logit_normal", logit_mean=0.5, logit_std=1.5))
    assert ks_pvalue(np.log(u / (1 - u)), norm(0.5, 1.5).cdf) > 0.01
    assert abs(draw_levels(normal) - shift_sigma(u, 3)).max() < 1e-5
