"""A pipeline of every class, opened through the public path."""

import pytest
import torch
from pipelines import PIPELINES

from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.models.base import Conditioned, collate
from tqd_probe.models.load import load_model

EXPERT = {"wan_experts": "high", "wan_image_experts": "low"}


def shortened(conditioning, tokens=12):
    """Keep the first text tokens: networks take any number, oracles are slow."""
    text = [name for name in conditioning if "image" not in name]
    long = {n for n in text if conditioning[n].ndim > 1 and n != "condition"}
    long -= {"pooled_projections"}
    return {
        n: v[:, :tokens].contiguous() if n in long else v
        for n, v in conditioning.items()
    }


@pytest.fixture(scope="session")
def encoded(checkpoint):
    """Model and two encoded clips of a family; do not change the model."""
    made = {}

    def get(name):
        if name not in made:
            model = load_model(str(checkpoint(name)), expert=EXPERT.get(name))
            model.check_shape(model.native)
            clips = [synthetic_clip(i, 1) for i in range(2)]
            batch = collate(
                [model.encode(c.read(model.native), c.caption) for c in clips]
            )
            made[name] = model, batch
        return made[name]

    return get


@pytest.fixture(params=sorted(PIPELINES))
def family(request, encoded):
    """Name, model, a batch of two clips with few text tokens, noise and levels."""
    name = request.param
    model, batch = encoded(name)
    text = batch.conditioning
    if name not in ("wan_image", "cogvideox"):  # positions depend on the text length
        text = shortened(text)
    batch = Conditioned(batch.latents, text)
    generator = torch.Generator().manual_seed(7)
    eps = torch.randn(batch.latents.shape, generator=generator)
    return name, model, batch, eps, torch.tensor([0.3, 0.8])
