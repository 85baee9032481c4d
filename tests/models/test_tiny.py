"""The shipped checkpoint is what it claims to be."""

import numpy as np
import pytest
import torch
from diffusers import WanPipeline

from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.core.rng import normal
from tqd_probe.models.base import collate, per_clip_loss
from tqd_probe.models.load import TINY, load_model


def test_it_is_complete_and_under_ten_megabytes():
    files = [path for path in TINY.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 10e6
    names = {path.relative_to(TINY).parts[0] for path in files}
    parts = {"transformer", "vae", "text_encoder", "tokenizer", "scheduler"}
    assert parts | {"model_index.json"} <= names
    assert not [p for p in files if p.suffix in (".bin", ".pt", ".pkl")]


def test_diffusers_alone_loads_it_and_generates():
    pipe = WanPipeline.from_pretrained(TINY)
    video = pipe(
        "a red striped circle moving right over a grey textured background",
        height=64,
        width=64,
        num_frames=17,
        num_inference_steps=3,
        generator=torch.Generator().manual_seed(0),
        output_type="np",
    ).frames
    assert video.shape == (1, 17, 64, 64, 3)
    assert np.isfinite(video).all()


def test_native_shape():
    assert load_model("tiny").native == ClipShape(17, 64, 64, 16)


@pytest.fixture(scope="module")
def encoded():
    model = load_model("tiny")
    clips = [synthetic_clip(i, 4321) for i in range(16)]
    return model, collate(
        [model.encode(c.read(model.native), c.caption) for c in clips]
    )


@pytest.mark.parametrize("sigma", [0.05, 0.25, 0.45, 0.65, 0.85, 0.95])
def test_held_out_loss_is_below_that_of_predicting_the_mean(encoded, sigma):
    model, batch = encoded
    eps = normal(tuple(batch.latents.shape), 0, "held-out")
    with torch.no_grad():
        loss = per_clip_loss(model, batch, eps, torch.full((16,), sigma)).mean()
    target = eps - batch.latents
    mean = target - target.mean((0, 2, 3, 4), keepdim=True)
    assert loss < 0.9 * mean.square().mean()
