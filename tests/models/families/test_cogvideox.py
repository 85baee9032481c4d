import numpy as np
import pytest
import torch

from tqd_probe.models.base import per_clip_loss

COG = ["cogvideox", "cogvideox_rotary", "cogvideox_15"]


@pytest.mark.parametrize("name", COG)
def test_cogvideox_is_its_scheduler_at_the_timestep_of_equal_snr(encoded, name):
    model, batch = encoded(name)
    scheduler = model.full_pipeline(1.0).scheduler
    steps = torch.tensor([120, 903])
    alphas = scheduler.alphas_cumprod[steps].double()
    sigma = (1 - alphas).sqrt() / ((1 - alphas).sqrt() + alphas.sqrt())
    assert model.timesteps(sigma).tolist() == [120, 903]
    eps = torch.randn(batch.latents.shape, generator=torch.Generator().manual_seed(0))
    x0 = batch.latents
    torch.testing.assert_close(
        model.corrupt(x0, eps, sigma), scheduler.add_noise(x0, eps, steps)
    )
    torch.testing.assert_close(
        model.target(x0, eps, sigma), scheduler.get_velocity(x0, eps, steps)
    )
    snr = 2 * np.log((1 - sigma.numpy()) / sigma.numpy())
    np.testing.assert_allclose(snr, torch.log(alphas / (1 - alphas)).numpy(), rtol=1e-9)
    assert model.timesteps(torch.tensor([1.0, 0.0])).tolist() == [999, 0]
    assert model.levels[999] == 1.0  # zero terminal SNR


@pytest.mark.parametrize(("name", "sigma"), [(COG[0], 0.755), (COG[1], 0.64)])
def test_timestep_500_is_not_sigma_one_half(encoded, name, sigma):
    model, _ = encoded(name)
    assert model.levels[500] == pytest.approx(sigma, abs=0.005)


@pytest.mark.parametrize("name", COG)
def test_cogvideox_loss_equals_its_published_weighted_x0_loss(encoded, name):
    """Weight 1 / (1 - abar) on the error of x0, as in the published training code."""
    model, batch = encoded(name)
    scheduler = model.full_pipeline(1.0).scheduler
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.double()
    steps = torch.tensor([30, 700])
    sigma = torch.tensor(model.levels[steps.numpy()])
    x0 = batch.latents.double()
    eps = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0)).double()
    x_t = model.corrupt(x0, eps, sigma)
    with torch.no_grad():
        v = model.predict(x_t.float(), sigma, batch.conditioning).double()
    guess = scheduler.get_velocity(v, x_t, steps)
    weights = 1 / (1 - scheduler.alphas_cumprod[steps])
    published = weights * (guess - x0).square().mean((1, 2, 3, 4))
    ours = (v - model.target(x0, eps, sigma)).square().mean((1, 2, 3, 4))
    torch.testing.assert_close(ours, published, rtol=1e-9, atol=0)


def test_a_pass_copies_no_table_from_the_host(encoded, monkeypatch):
    """A GPU would wait for the pass before."""
    model, batch = encoded("cogvideox")
    sigma, eps = torch.tensor([0.3, 0.8]), torch.ones_like(batch.latents)
    with torch.no_grad():
        first = per_clip_loss(model, batch, eps, sigma)
        monkeypatch.setattr(torch, "from_numpy", None)
        monkeypatch.setattr(torch, "tensor", None)
        assert torch.equal(per_clip_loss(model, batch, eps, sigma), first)


def test_cogvideox_levels_snap_and_stay_measurable(encoded):
    model, _ = encoded("cogvideox")
    found = model.nearest_levels(np.array([0.5, 0.9999999]))
    assert found[0] == pytest.approx(0.5, abs=2e-3)
    assert found[0] in model.levels
    assert 0.999 < found[1] < 1
    assert model.sigma_range == (pytest.approx(0.0481, abs=1e-4), 1.0)


def test_cogvideox_15_repeats_the_first_latent_frame_that_the_pipeline_drops(encoded):
    _model, batch = encoded("cogvideox_15")
    assert batch.latents.shape[1] == 4
    assert torch.equal(batch.latents[:, 0], batch.latents[:, 1])


def test_latents_of_other_patches_are_not_shared_through_the_cache(encoded):
    """1.5 repeats a latent frame: equal encoders, other latents."""
    one, other = encoded("cogvideox_rotary")[0], encoded("cogvideox_15")[0]
    assert one.encoder_fingerprint != other.encoder_fingerprint
