import pytest
import torch

from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.models.base import Conditioned, collate, per_clip_loss
from tqd_probe.models.load import load_model

SHAPE = ClipShape(5, 32, 32, 16)


@pytest.fixture(scope="module")
def model(pipeline):
    return load_model(str(pipeline))


def batch(model, count=3):
    clips = [synthetic_clip(i, 1) for i in range(count)]
    return collate([model.encode(c.read(SHAPE), c.caption) for c in clips])


def test_loss_is_the_mean_over_elements_and_permutes_with_the_batch(model):
    clips = batch(model)
    eps, sigma = torch.randn_like(clips.latents), torch.tensor([0.1, 0.5, 0.9])
    with torch.no_grad():
        losses = per_clip_loss(model, clips, eps, sigma)
        x_t = model.corrupt(clips.latents, eps, sigma)
        error = model.predict(x_t, sigma, clips.conditioning) - (eps - clips.latents)
        order = torch.tensor([2, 0, 1])
        mixed = Conditioned(
            clips.latents[order], {k: v[order] for k, v in clips.conditioning.items()}
        )
        permuted = per_clip_loss(model, mixed, eps[order], sigma[order])
    torch.testing.assert_close(losses, (error**2).mean((1, 2, 3, 4)))
    torch.testing.assert_close(permuted, losses[order], rtol=1e-5, atol=1e-6)


class Linear:
    """A model of one weight: x_t = x0 + sigma eps, the target is eps."""

    def corrupt(self, x0, eps, sigma):
        return x0 + sigma[:, None] * eps

    def predict(self, x_t, sigma, conditioning):
        return 2 * x_t + conditioning["shift"]

    def target(self, x0, eps, sigma):
        return eps


def test_the_loss_is_the_mean_squared_error_of_the_prediction():
    clips = [
        Conditioned(torch.tensor([1.0, 2.0]), {"shift": torch.tensor([0.5, 0.5])}),
        Conditioned(torch.tensor([0.0, 1.0]), {"shift": torch.tensor([0.0, 1.0])}),
    ]
    batch = collate(clips)
    assert batch.latents.shape == (2, 2)
    assert batch.conditioning["shift"].tolist() == [[0.5, 0.5], [0.0, 1.0]]
    eps, sigma = torch.tensor([[1.0, -1.0], [2.0, 0.0]]), torch.tensor([0.5, 1.0])
    # 2 (1.5, 1.5) + 0.5 - (1, -1) and 2 (2, 1) + (0, 1) - (2, 0)
    expected = [(2.5**2 + 4.5**2) / 2, (2**2 + 3**2) / 2]
    assert per_clip_loss(Linear(), batch, eps, sigma).tolist() == expected
