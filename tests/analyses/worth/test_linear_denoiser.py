"""The linear denoiser, where its loss can be computed by hand and by sampling."""

import pytest
import torch


def test_excess_is_what_the_wrong_filter_loses():
    from analyses.worth.linear_denoiser import excess, wiener_filter

    rng = torch.Generator().manual_seed(0)
    golden = 2.0 * torch.randn(400, 1, 2, 4, 4, generator=rng).double()
    weak = golden / 4
    assert excess(golden, golden, 0.4) == 0
    sigma = 0.4
    # White latents: every frequency has the variance 4, and 1/4.
    filters = [wiener_filter(torch.tensor(v), sigma) for v in (4.0, 0.25)]
    noise = torch.randn(golden.shape, generator=rng)
    noisy = (1 - sigma) * golden + sigma * noise
    lost = [(h * noisy - golden).square().mean() for h in filters]
    # The velocity eps - x0 is (x - x0) / sigma: errors of x0 count over sigma squared.
    wanted = float(lost[1] - lost[0]) / sigma**2
    assert excess(golden, weak, sigma) == pytest.approx(wanted, rel=0.03)


def test_still_clips_are_far_from_moving_ones():
    from analyses.worth.linear_denoiser import excess

    moving = torch.randn(64, 1, 8, 2, 2, generator=torch.Generator().manual_seed(1))
    still = moving[:, :, :1].expand_as(moving)
    shuffled = moving.flip(2)
    assert excess(moving, still, 0.3) > 100 * excess(moving, shuffled, 0.3)
