"""Each family's own conventions, against its diffusers pipeline and scheduler."""

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, LTXPipeline
from PIL import Image

from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.core.errors import InputError
from tqd_probe.models.load import load_model

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


def test_wan_does_not_use_its_own_scheduler(encoded):
    """A fresh UniPC adds noise by variance-preserving coefficients: 0.34, not 0.899."""
    model, _batch = encoded("wan")
    scheduler = model.full_pipeline(1.0).scheduler
    zero, one = torch.zeros(1, 4, 1, 1, 1), torch.ones(1, 4, 1, 1, 1)
    wrong = scheduler.add_noise(zero, one, torch.tensor([899]))
    found = model.corrupt(zero, one, torch.tensor([0.899]))
    assert float(found.mean()) == pytest.approx(0.899)
    assert abs(float(wrong.mean()) - 0.899) > 0.3


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


def test_cogvideox_levels_snap_and_stay_measurable(encoded):
    model, _ = encoded("cogvideox")
    found = model.nearest_levels(np.array([0.5, 0.9999999]))
    assert found[0] == pytest.approx(0.5, abs=2e-3)
    assert found[0] in model.levels
    assert 0.999 < found[1] < 1
    assert model.sigma_range == (pytest.approx(0.0481, abs=1e-4), 1.0)


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


def test_cogvideox_15_repeats_the_first_latent_frame_that_the_pipeline_drops(encoded):
    _model, batch = encoded("cogvideox_15")
    assert batch.latents.shape[1] == 4
    assert torch.equal(batch.latents[:, 0], batch.latents[:, 1])


def test_the_first_frame_of_a_degraded_clip_conditions_on_its_own_frame(encoded):
    model, batch = encoded("wan_image")
    video = synthetic_clip(0, 1).read(model.native)
    same, other = model.encode_images(video), model.encode_images(255 - video)
    torch.testing.assert_close(same["condition"], batch.conditioning["condition"][0])
    mask = same["condition"][:4]
    assert mask[:, 0].min() == 1
    assert mask[:, 1:].max() == 0
    assert (same["condition"] - other["condition"])[4:].abs().max() > 0.01
    kept = video.copy()
    kept[1:] = 0
    torch.testing.assert_close(
        model.encode_images(kept)["condition"], same["condition"]
    )


def test_ltx_positions_follow_the_frame_rate(encoded):
    model, batch = encoded("ltx")
    sigma, shape = torch.tensor([0.4, 0.4]), model.native
    with torch.no_grad():
        slow = model.predict(batch.latents, sigma, batch.conditioning)
        model.check_shape(ClipShape(shape.frames, shape.height, shape.width, 4))
        fast = model.predict(batch.latents, sigma, batch.conditioning)
        model.check_shape(shape)
    assert (slow - fast).abs().max() > 1e-5


@pytest.mark.parametrize(
    ("expert", "span"), [("high", (0.875, 1)), ("low", (0, 0.875))]
)
def test_experts_are_two_networks_with_ranges(checkpoint, expert, span):
    model = load_model(str(checkpoint("wan_experts")), expert=expert)
    assert model.sigma_range == span
    assert model.expert == expert
    other = load_model(
        str(checkpoint("wan_experts")), expert={"high": "low", "low": "high"}[expert]
    )
    assert model.fingerprint != other.fingerprint
    assert model.encoder_fingerprint == other.encoder_fingerprint


def test_an_expert_must_be_chosen(checkpoint):
    for expert in (None, "both", "middle"):
        with pytest.raises(InputError, match=r"two experts that meet at sigma 0\.875"):
            load_model(str(checkpoint("wan_experts")), expert=expert)


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


def test_latents_of_other_patches_are_not_shared_through_the_cache(encoded):
    """1.5 repeats a latent frame: equal encoders, other latents."""
    one, other = encoded("cogvideox_rotary")[0], encoded("cogvideox_15")[0]
    assert one.encoder_fingerprint != other.encoder_fingerprint


@pytest.mark.parametrize("name", [COG[0], *FLOW])
def test_clips_of_many_pixels_are_encoded_in_tiles(encoded, name, monkeypatch):
    model, _ = encoded(name)
    video = synthetic_clip(0, 1).read(model.native)
    whole = model.encode_video(video)
    assert not model.load_encoders().vae.use_tiling
    monkeypatch.setattr(
        "tqd_probe.models.pipeline_encoders.WHOLE_PIXELS", video.size // 3 - 1
    )
    tiled = model.encode_video(video)
    assert model.load_encoders().vae.use_tiling
    assert tiled.shape == whole.shape
    monkeypatch.undo()
    torch.testing.assert_close(model.encode_video(video), whole)
