"""What predictors say of pairs, on gradients known beforehand."""

import numpy as np
import pytest
import torch


def test_mean_over_tensors_gives_small_tensors_the_same_weight(monkeypatch):
    from analyses.worth import predictors
    from analyses.worth.predictors import mean_over_tensors, products, products_with
    from tqd_probe.gradients.layout import make_layout

    network = torch.nn.Module()
    for name, size in (("large", 900), ("small", 100), ("silent", 50)):
        network.register_parameter(name, torch.nn.Parameter(torch.ones(size)))
    layout = make_layout(network, {"all": ["large", "small", "silent"]})
    rng = torch.Generator().manual_seed(0)
    own = 0.1 * torch.randn(40, 1050, generator=rng)
    other = 0.1 * torch.randn(40, 1050, generator=rng)
    own[:, :1000] += 1.0
    other[:, :900] += 1.0  # the same direction: cosine 1
    other[:, 900:1000] -= 1.0  # the opposite: -1
    places = {name: slice(*ends) for name, ends in layout.parameters.items()}
    assert places["small"] == slice(900, 1000)
    own[:, 1000:] = 1e-3 * torch.tensor([1.0, -1.0]).repeat(20)[:, None]  # U_gg < 0
    weights = torch.linspace(0.5, 2.0, 1050)
    monkeypatch.setattr(predictors, "COLUMNS", 128)
    by_metric = {"weighted": weights}
    golden = products_with(layout, own, [own], by_metric)
    whole, single = products(layout, own, other, by_metric, golden)
    mean, left_out = mean_over_tensors(single)
    assert mean == pytest.approx(0.0, abs=0.02)
    assert left_out == pytest.approx(1 / 3)
    rows = (torch.cat([own, other]) * weights).double()
    np.testing.assert_allclose(whole["weighted"], rows @ rows.T, rtol=1e-4, atol=1e-2)


def test_the_linear_denoiser_is_scored_in_the_network_s_own_target():
    from types import SimpleNamespace as Some

    from analyses.worth.linear_denoiser import excess
    from analyses.worth.predictors import excess_of

    golden = torch.randn(6, 2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    own, other = Some(latents=golden), Some(latents=0.5 * golden)
    plain = excess(golden, 0.5 * golden, 0.4)
    wan = Some(model=Some(family="wan"))
    assert excess_of(wan, own, other, 0.4) == pytest.approx(plain)
    # Frames before channels; the error of v is that of x0 over 1 - abar.
    cog = Some(model=Some(family="cogvideox"))
    turned = [Some(latents=each.latents.transpose(1, 2)) for each in (own, other)]
    squared = plain * 0.4**2  # error of x0
    one_less_abar = 0.4**2 / (0.4**2 + 0.6**2)
    assert excess_of(cog, *turned, 0.4) == pytest.approx(squared / one_less_abar)
