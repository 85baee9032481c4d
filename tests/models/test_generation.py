import numpy as np
import pytest
import torch
from diffusers import WanPipeline

from tqd_probe.models.load import load_model


@pytest.fixture(scope="module")
def model(pipeline):
    return load_model(str(pipeline))


@pytest.fixture(scope="module")
def pipe(pipeline):
    return WanPipeline.from_pretrained(pipeline)


def test_sampling_goes_through_the_pipeline(model, pipe):
    video = model.sample(["a cat", "a dog"], seed=3, steps=2, guidance=1.0)
    assert video.shape == (2, 5, 32, 32, 3)
    assert video.dtype == np.uint8
    right = pipe(
        ["a cat", "a dog"],
        height=32,
        width=32,
        num_frames=5,
        num_inference_steps=2,
        guidance_scale=1.0,
        generator=torch.Generator().manual_seed(3),
        output_type="np",
    ).frames
    assert np.abs(video - 255 * right).max() <= 1
