"""The encoder of the tiny CogVideoX, fitted in closed form."""

import numpy as np
import pytest
import torch

from tqd_probe.clips.synthetic import synthetic_clip


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
