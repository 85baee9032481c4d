"""Each family's own conventions, against its diffusers pipeline and scheduler."""

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, LTXPipeline
from PIL import Image

from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.core.errors import InputError

COG = ["cogvideox", "cogvideox_rotary", "cogvideox_15"]
FLOW = ["wan", "wan_tokens", "ltx", "hunyuan_video", "hunyuan_video_15"]


@pytest.mark.parametrize("name", [*COG, *FLOW, "wan_image", "wan_image_tokens"])
def test_predict_is_what_the_pipeline_itself_computes(
    encoded, checkpoint, name, monkeypatch
):
    """The pipeline's first step, repeated by `predict` with the same latents."""
    model, _ = encoded(name)
    pipe = model.full_pipeline(1.0)
    cls, calls = type(pipe.transformer), []
    forward = cls.forward

    def spy(self, *args, **inputs):
        found = forward(self, *args, **inputs)
        calls.append((inputs, found[0]))
        return found

    monkeypatch.setattr(cls, "forward", spy)
    images = {}
    video = synthetic_clip(0, 1).read(model.native)
    if model.takes_images:
        images = {"image": Image.fromarray(video[0])}
    pipe(
        prompt="a cat",
        num_inference_steps=2,
        generator=torch.Generator().manual_seed(0),
        output_type="latent",
        **images,
        **model.call_arguments(model.native, 1.0),
    )
    inputs, right = calls[0]
    monkeypatch.undo()
    latents = inputs["hidden_states"]
    timestep = inputs["timestep"].float().reshape(1, -1)[:, -1]
    if name in COG:
        sigma = torch.tensor(model.levels[timestep.long().numpy()])
    else:
        sigma = timestep / 1000
    if name == "ltx":
        frames, height, width = (inputs[k] for k in ("num_frames", "height", "width"))
        latents = LTXPipeline._unpack_latents(latents, frames, height, width)
        right = LTXPipeline._unpack_latents(right, frames, height, width)
    channels = latents.shape[1]
    if name in ("hunyuan_video_15", "wan_image"):
        latents = latents[:, :4]
        assert channels == {"hunyuan_video_15": 9, "wan_image": 12}[name]
    text = model.encode_caption("a cat")
    more = model.encode_images(video) if model.takes_images else {}
    conditioning = {k: v[None] for k, v in {**text, **more}.items()}
    if name.startswith("wan") and name != "wan_image":  # the call pads zeros to 512
        hidden = conditioning["encoder_hidden_states"]
        pad = torch.zeros(1, 512 - hidden.shape[1], hidden.shape[2])
        conditioning["encoder_hidden_states"] = torch.cat([hidden, pad], 1)
    if name == "hunyuan_video":  # the call's guidance of 1 is the training guidance
        assert float(inputs["guidance"]) == 1000.0
    with torch.no_grad():
        found = model.predict(latents, sigma, conditioning)
    if name == "wan_image_tokens":
        assert float(found[:, :, 0].abs().max()) == 0
        found, right = found[:, :, 1:], right[:, :, 1:]
    torch.testing.assert_close(found, right, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", FLOW)
def test_corrupt_equals_the_flow_scheduler_where_it_is_right(encoded, name):
    """FlowMatchEuler without shift; the target is the path's derivative."""
    model, batch = encoded(name)
    scheduler = FlowMatchEulerDiscreteScheduler(shift=1.0)
    index = torch.tensor([200, 850])
    sigma = scheduler.sigmas[index]
    eps = torch.randn(batch.latents.shape, generator=torch.Generator().manual_seed(0))
    right = scheduler.scale_noise(batch.latents, scheduler.timesteps[index], eps)
    found = model.corrupt(batch.latents, eps, sigma)
    torch.testing.assert_close(found, right)
    step = torch.tensor(1e-3)
    slope = (model.corrupt(batch.latents, eps, sigma + step) - found) / step
    target = model.target(batch.latents, eps, sigma)
    torch.testing.assert_close(slope, target, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize(
    "name", ["cogvideox", "ltx", "hunyuan_video", "hunyuan_video_15", "wan_tokens"]
)
def test_latents_are_what_the_pipeline_denormalises(encoded, name):
    model, _ = encoded(name)
    video = synthetic_clip(0, 1).read(model.native)
    pixels = torch.from_numpy(video).permute(3, 0, 1, 2)[None] / 127.5 - 1
    pipe = model.full_pipeline(1.0)
    with torch.no_grad():
        raw = pipe.vae.encode(pixels).latent_dist.mode()
    found = model.encode_video(video)[None]
    vae = pipe.vae
    if name == "cogvideox":
        found = found.permute(0, 2, 1, 3, 4) / pipe.vae_scaling_factor_image
    elif name == "ltx":
        found = pipe._denormalize_latents(
            found, vae.latents_mean, vae.latents_std, vae.config.scaling_factor
        )
    elif name == "wan_tokens":
        mean, std = (
            torch.tensor(values).view(1, -1, 1, 1, 1)
            for values in (vae.config.latents_mean, vae.config.latents_std)
        )
        found = found * std + mean
    else:
        found = found / vae.config.scaling_factor
    torch.testing.assert_close(found, raw, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("cogvideox", (13, 32, 32), "--frames 13: this model takes a multiple of 8"),
        ("cogvideox", (9, 40, 32), "--height 40: this model takes multiples of 16"),
        ("ltx", (5, 32, 34), "--width 34: this model takes multiples of 8"),
        ("ltx", (7, 32, 32), "--frames 7: this model takes a multiple of 4"),
        ("hunyuan_video", (6, 32, 32), "--frames 6: this model takes a multiple of 4"),
        ("hunyuan_video_15", (5, 36, 32), "--height 36: this model takes multiples"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(encoded, name, shape, message):
    model, _ = encoded(name)
    with pytest.raises(InputError, match=message):
        model.check_shape(ClipShape(*shape, 16))


@pytest.mark.parametrize("name", [COG[0], *FLOW])
def test_clips_of_many_pixels_are_encoded_in_tiles(encoded, name, monkeypatch):
    model, _ = encoded(name)
    video = synthetic_clip(0, 1).read(model.native)
    whole = model.encode_video(video)
    assert not model.load_encoders().vae.use_tiling
    monkeypatch.setattr(
        "tqd_probe.models.pipeline_encoders.UNTILED_PIXELS", video.size // 3 - 1
    )
    tiled = model.encode_video(video)
    assert model.load_encoders().vae.use_tiling
    assert tiled.shape == whole.shape
    monkeypatch.undo()
    torch.testing.assert_close(model.encode_video(video), whole)
