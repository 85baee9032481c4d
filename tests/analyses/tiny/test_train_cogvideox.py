"""The training of the tiny CogVideoX."""

import numpy as np
import pytest
import torch

from tqd_probe.models.base import collate, per_clip_loss
from tqd_probe.models.load import load_model


def test_training_target_is_that_of_the_scheduler():
    from analyses.tiny.parts_cogvideox import new_scheduler
    from analyses.tiny.train_cogvideox import corrupted, nearest_timestep

    rng = torch.Generator().manual_seed(1)
    x0, eps = (torch.randn(4, 5, 16, 2, 2, generator=rng) for _ in range(2))
    t = torch.tensor([0, 300, 700, 999])
    noisy, v = corrupted(x0, eps, t)
    scheduler = new_scheduler()
    assert torch.allclose(noisy, scheduler.add_noise(x0, eps, t), atol=1e-6)
    assert torch.allclose(v, scheduler.get_velocity(x0, eps, t), atol=1e-6)
    assert torch.allclose(noisy[-1], eps[-1])  # zero signal at the end
    alpha = float(scheduler.alphas_cumprod[nearest_timestep(0.5)])
    assert alpha == pytest.approx(0.5, abs=0.002)  # equal signal and noise


@pytest.mark.long
def test_trained_folder_is_a_model_whose_latents_it_was_trained_on(trained):
    work, out, result = trained
    assert len(result["loss_every_50_steps"]) == 1
    assert result["decoder"]["steps"] == 2
    assert 0 < result["linear_reconstruction"]["share_of_variance_left"] < 0.5
    assert list(result["held_out"]) == ["1", "2"]
    model = load_model(str(out))
    assert model.family == "cogvideox"
    assert (model.native.frames, model.native.height) == (17, 64)
    assert result["sigma_of_training_timesteps"]["0.5"] == pytest.approx(
        float(np.quantile(model.levels, 0.5)), abs=1e-3
    )
    from analyses.tiny.pool import pool_clip

    caption, video = pool_clip(3, 1000, model.native)
    one = model.encode(video, caption)
    pool = torch.load(work / "pool.pt", weights_only=True)
    wanted = pool["latents"][3].transpose(0, 1) * result["scaling_factor"]
    assert torch.allclose(one.latents, wanted, atol=1e-3)
    assert one.latents.std() < 2
    batch, sigma = collate([one]), torch.tensor([0.5])
    eps = torch.randn(batch.latents.shape, generator=torch.Generator().manual_seed(2))
    loss = per_clip_loss(model, batch, eps, sigma)
    assert loss.shape == (1,)
    assert torch.isfinite(loss).all()
