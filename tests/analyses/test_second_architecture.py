"""The tiny CogVideoX: its encoder, its targets, its training, and the comparison."""

import json
import sys

import numpy as np
import pytest
import torch

from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.models.base import collate, per_clip_loss
from tqd_probe.models.load import load_model


@pytest.fixture(scope="module")
def fitted():
    """An autoencoder fitted to twelve golden clips, and these clips."""
    from analyses.tiny.fit_encoder_cogvideox import fit_encoder
    from analyses.tiny.parts_cogvideox import new_vae
    from analyses.tiny.training_tools import SHAPE, to_model

    torch.manual_seed(0)
    videos = np.stack([synthetic_clip(i, 1).read(SHAPE) for i in range(12)])
    vae = new_vae().eval()
    fit_encoder(vae, torch.from_numpy(videos))
    return vae, torch.stack([to_model(video) for video in videos])


@torch.no_grad()
def encode(vae, x):
    return vae.encode(x).latent_dist.mode()


def test_fitted_encoder_is_linear_centred_and_knows_what_stands_still(fitted):
    vae, x = fitted
    z = encode(vae, x)
    assert z.shape == (12, 16, 5, 8, 8)
    size = z.std()
    assert z.mean((0, 2, 3, 4)).abs().max() < 0.01 * size
    mixed = encode(vae, 0.3 * x[:1] + 0.7 * x[1:2])
    assert (mixed - 0.3 * z[:1] - 0.7 * z[1:2]).abs().max() < 2e-3 * size
    still = encode(vae, x[:2, :, :1].expand(-1, -1, 17, -1, -1))
    assert (still - still[:, :, :1]).abs().max() < 2e-3 * size
    assert (z - z[:, :, :1]).abs().max() > 0.5 * size


def test_fitted_encoder_keeps_what_principal_components_keep(fitted):
    vae, x = fitted
    z = encode(vae, x)[:, :, 1:].movedim(1, -1).reshape(-1, 16).double().numpy()
    # The mean of four frames, 8 x 8 pixels: from the code, by least squares.
    mean = x[:, :, 1:].reshape(12, 3, 4, 4, 8, 8, 8, 8).mean(3)
    block = mean.permute(0, 2, 3, 5, 1, 4, 6).reshape(len(z), -1).double().numpy()
    block = block - block.mean(0)
    left = block - z @ np.linalg.lstsq(z, block, rcond=None)[0]
    # As many components of each block, chosen for them alone, are the bound.
    spread = np.linalg.eigvalsh(block.T @ block)
    bound = spread[:-16].sum() / spread.sum()
    assert bound <= (left**2).sum() / (block**2).sum() < 0.08


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


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Pipeline and working folder of two stopped and resumed steps."""
    import train_tiny_cogvideox as script

    folder = tmp_path_factory.mktemp("cogvideox")
    work, out = folder / "work", folder / "pipeline"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(script, "FIT_CLIPS", 8)
        for stage, steps in (
            ("transformer", 1),
            ("transformer", 2),
            ("decoder", 1),
            ("decoder", 2),
        ):
            options = {
                "--work": work,
                "--out": out,
                "--stage": stage,
                "--clips": 8,
                "--held-out": 2,
                "--steps": steps if stage == "transformer" else 2,
                "--decoder-steps": steps,
                "--results": folder / "results.json",
            }
            words = [str(part) for pair in options.items() for part in pair]
            patch.setattr(sys, "argv", ["train_cogvideox.py", *words])
            script.main()
    return work, out, json.loads((folder / "results.json").read_text())


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


def test_step_file_goes_into_a_copy_of_the_pipeline(trained, tmp_path):
    from analyses.tiny.maturity import export

    work, out, _ = trained
    copy = export(str(out), work / "step-00001.pt", tmp_path / "copy")
    first, last = load_model(str(copy)), load_model(str(out))
    name = "transformer_blocks.0.attn1.to_q.weight"
    wanted = torch.load(work / "step-00001.pt", weights_only=True)["model"][name]
    assert torch.equal(first.network.state_dict()[name], wanted)
    assert not torch.equal(last.network.state_dict()[name], wanted)
    assert first.fingerprint != last.fingerprint


def curve(cosine, size, seed):
    from analyses.tiny.two_architectures import Curve

    rng = np.random.default_rng(seed)
    kernels = rng.standard_normal((len(cosine), 20, 20)) * size
    kernels = (kernels + kernels.swapaxes(1, 2)) / 2 * (1 - np.eye(20))
    levels = [round(0.05 + i / len(cosine), 2) for i in range(len(cosine))]
    return Curve(levels, np.array(cosine), kernels)


def test_what_clips_share_cancels_between_architectures():
    from analyses.tiny.two_architectures import gap, stated

    one = curve([0.5, 0.6, 0.7, 0.8, 0.9], 1.0, 1)
    other = curve([0.4, 0.6, 0.7, 0.8, 0.9], 1.0, 1)
    found = gap(one.mean(0, 0.3), other.mean(0, 0.3))
    assert found["value"] == pytest.approx(0.05)
    assert found["ci"] == pytest.approx([0.05, 0.05])
    apart = gap(one.mean(0, 0.3), curve([0.4] * 5, 1.0, 2).mean(0, 0.3))
    alone = stated(*one.mean(0, 0.3))
    assert np.ptp(apart["ci"]) > np.ptp(alone["ci"]) > 0
    assert gap(None, one.mean(0, 1)) is None
    assert one.mean(0.3, 0.4) is None


def test_rank_correlation_is_sure_where_levels_part():
    from analyses.tiny.two_architectures import rank_correlation

    sure = rank_correlation(curve([0.1, 0.3, 0.5, 0.7, 0.9], 0.01, 3), "a")
    assert sure == {"value": pytest.approx(1), "ci": pytest.approx([1, 1])}
    flat = rank_correlation(curve([0.5, 0.501, 0.502, 0.503, 0.504], 3.0, 4), "a")
    assert flat["value"] == pytest.approx(1)
    assert flat["ci"][0] < 0.5
    assert rank_correlation(curve([0.5, 0.6], 0.1, 5), "a") is None


def test_runs_of_other_clips_are_not_compared(tmp_path, monkeypatch, capsys):
    import two_architectures as script

    from tqd_probe.core.command_line import main_guard

    runs = iter([({"draws": 2, "seed": 1}, {}, {}), ({"draws": 2, "seed": 2}, {}, {})])
    monkeypatch.setattr(script, "read_run", lambda path: next(runs))
    monkeypatch.setattr(sys, "argv", ["two_architectures.py", "one", "two"])
    with main_guard() as outcome:
        script.main()
    assert outcome.code == 2
    assert "two: seed is 2, in one 1" in capsys.readouterr().err
