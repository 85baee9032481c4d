import pytest
import torch
from diffusers import WanPipeline

from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.models.base import collate
from tqd_probe.models.load import load_model

SHAPE = ClipShape(5, 32, 32, 16)


@pytest.fixture(scope="module")
def model(pipeline):
    return load_model(str(pipeline))


@pytest.fixture(scope="module")
def pipe(pipeline):
    return WanPipeline.from_pretrained(pipeline)


def batch(model, count=3):
    clips = [synthetic_clip(i, 1) for i in range(count)]
    return collate([model.encode(c.read(SHAPE), c.caption) for c in clips])


def test_native_shape_comes_from_the_checkpoint(model):
    assert model.native == SHAPE
    assert (model.family, model.prediction) == ("wan", "flow_velocity")


def test_without_the_file_wan_is_480p(copied):
    (copied / "native_clip.json").unlink()
    assert load_model(str(copied)).native == ClipShape(81, 480, 832, 16)


def test_latents_are_the_posterior_mode_as_the_pipeline_denormalises(model, pipe):
    video = synthetic_clip(0, 1).read(SHAPE)
    latents = model.encode_video(video)
    assert latents.shape == (4, 2, 4, 4)
    pixels = torch.from_numpy(video).permute(3, 0, 1, 2)[None] / 127.5 - 1
    with torch.no_grad():
        raw = pipe.vae.encode(pixels).latent_dist.mode()
    mean = torch.tensor(pipe.vae.config.latents_mean).view(1, 4, 1, 1, 1)
    std = torch.tensor(pipe.vae.config.latents_std).view(1, 4, 1, 1, 1)
    torch.testing.assert_close(latents[None] * std + mean, raw)


def test_captions_are_encoded_as_the_pipeline_does(model, pipe):
    found = model.encode_caption("a cat. walking")["encoder_hidden_states"]
    right, _ = pipe.encode_prompt(
        "a cat. walking", do_classifier_free_guidance=False, max_sequence_length=24
    )
    assert found.shape == (24, 16)
    torch.testing.assert_close(found, right[0])
    assert float(found[-1].abs().max()) == 0


def test_corrupt_and_target_are_flow_matching(model):
    x0, eps = torch.randn(2, 4, 2, 4, 4), torch.randn(2, 4, 2, 4, 4)
    sigma = torch.tensor([0.2, 0.9])
    found = model.corrupt(x0, eps, sigma)
    torch.testing.assert_close(found[0], 0.8 * x0[0] + 0.2 * eps[0])
    torch.testing.assert_close(found[1], 0.1 * x0[1] + 0.9 * eps[1])
    torch.testing.assert_close(model.target(x0, eps, sigma), eps - x0)


def test_the_timestep_is_a_thousand_sigma_and_not_truncated(model, pipe):
    clips = batch(model)
    sigma = torch.tensor([0.1, 0.25055, 0.9])
    with torch.no_grad():
        found = model.predict(clips.latents, sigma, clips.conditioning)
        right = pipe.transformer(
            clips.latents, 1000 * sigma, clips.conditioning["encoder_hidden_states"]
        ).sample
        whole = pipe.transformer(
            clips.latents,
            torch.floor(1000 * sigma),
            clips.conditioning["encoder_hidden_states"],
        ).sample
    torch.testing.assert_close(found, right)
    assert (found[1] - whole[1]).abs().max() > 1e-7


def test_module_groups_cover_every_parameter_once(model):
    groups = model.modules()
    names = [name for group in groups.values() for name in group]
    assert sorted(names) == sorted(n for n, _ in model.network.named_parameters())
    assert next(iter(groups)) == "embedding"
    assert list(groups)[-1] == "head"
    assert "blocks.1.scale_shift_table" in groups["block01.modulation"]
    assert "scale_shift_table" in groups["head"]
    assert "blocks.0.attn1.norm_q.weight" in groups["block00.self_attention"]
    assert "blocks.0.norm2.weight" in groups["block00.cross_attention"]
    assert any("time_proj" in name for name in groups["modulation"])
