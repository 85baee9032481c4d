"""What holds for every family, with numbers."""

import pytest
import torch
from pipelines import PIPELINES, first_frames

import tqd_probe.models.families.hunyuan_video15 as hunyuan_video15
from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.core.errors import InputError
from tqd_probe.gradients import compiled, reference
from tqd_probe.gradients.capture import GradientCapture
from tqd_probe.gradients.layout import make_layout
from tqd_probe.models.base import Conditioned, per_clip_loss
from tqd_probe.models.load import FAMILIES, load_model


@pytest.fixture(autouse=True)
def few_image_tokens(monkeypatch):
    monkeypatch.setattr(hunyuan_video15, "IMAGE_TOKENS", 4)


def test_every_class_with_an_adapter_is_tested():
    built = {type(builder()).__name__ for builder, _ in PIPELINES.values()}
    assert built == set(FAMILIES)


def test_loss_is_the_mean_over_elements_and_permutes_with_the_batch(family):
    _, model, batch, eps, sigma = family
    with torch.no_grad():
        losses = per_clip_loss(model, batch, eps, sigma)
        x_t = model.corrupt(batch.latents, eps, sigma)
        found = model.predict(x_t, sigma, batch.conditioning)
        error = found - model.target(batch.latents, eps, sigma)
        turned = Conditioned(
            batch.latents.flip(0), {k: v.flip(0) for k, v in batch.conditioning.items()}
        )
        permuted = per_clip_loss(model, turned, eps.flip(0), sigma.flip(0))
    assert found.shape == batch.latents.shape
    torch.testing.assert_close(losses, error.square().mean((1, 2, 3, 4)))
    torch.testing.assert_close(permuted, losses.flip(0), rtol=1e-4, atol=1e-5)
    assert (losses[0] - losses[1]).abs() > 1e-3


def test_engine_equals_the_oracle(family):
    _, model, batch, eps, sigma = family
    layout = make_layout(model.network, model.modules())
    engine = GradientCapture(model.network, layout)
    found, _ = engine.per_clip(lambda: per_clip_loss(model, batch, eps, sigma), 2)

    def loss(network, value):
        latents, conditioning, noise, level = value
        bound = model.bound_to(network)
        return per_clip_loss(bound, Conditioned(latents, conditioning), noise, level)

    value = (
        batch.latents.double(),
        {name: part.double() for name, part in batch.conditioning.items()},
        eps.double(),
        sigma.double(),
    )
    truth = reference.reference_gradients(model.network, layout, loss, value)
    gap = (found.double() - truth).norm(dim=1) / truth.norm(dim=1)
    assert float(gap.max()) < 2e-5
    for name, (start, stop) in layout.groups.items():
        part, right = found[:, start:stop].double(), truth[:, start:stop]
        assert (part - right).norm() < 1e-4 * right.norm() + 1e-7 * truth.norm(), name


def test_all_of_the_gradient_is_captured_with_checkpointing_too(family):
    _, model, batch, eps, sigma = family
    layout = make_layout(model.network, model.modules())
    engine = GradientCapture(model.network, layout)

    def losses():
        return per_clip_loss(model, batch, eps, sigma)

    assert engine.covered_share(losses, 2) == pytest.approx(1, abs=1e-6)
    plain, _ = engine.per_clip(losses, 2)
    model.network.enable_gradient_checkpointing()
    try:
        again, _ = engine.per_clip(losses, 2)
    finally:
        model.network.disable_gradient_checkpointing()
    torch.testing.assert_close(again, plain, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(  # tables: none, per token, no axis of clips
    "family", ["cogvideox_rotary", "wan_tokens", "ltx"], indirect=True
)
def test_compiled_blocks_give_the_same(family, monkeypatch):
    monkeypatch.setattr(compiled, "BACKEND", "eager")
    _, model, batch, eps, sigma = family
    layout = make_layout(model.network, model.modules())

    def losses():
        return per_clip_loss(model, batch, eps, sigma)

    plain, _ = GradientCapture(model.network, layout).per_clip(losses, 2)
    engine = GradientCapture(model.network, layout, compiled=True)
    for _ in range(2):
        again, _ = engine.per_clip(losses, 2)
        assert float((again - plain).norm() / plain.norm()) < 1e-5


def test_groups_cover_every_parameter_once_in_order(family):
    _, model, *_ = family
    groups = model.modules()
    names = [name for group in groups.values() for name in group]
    assert sorted(names) == sorted(n for n, _ in model.network.named_parameters())
    assert next(iter(groups)) == "embedding"
    assert list(groups)[-1] == "head"
    blocks = {group.split(".")[0] for group in groups if group.startswith("block")}
    config = model.network.config
    layers = config["num_layers"] + (config.get("num_single_layers") or 0)
    assert blocks == {f"block{i:02d}" for i in range(layers)}
    assert {"self_attention", "feed_forward"} <= {
        group.split(".")[1] for group in groups if "." in group
    }


def test_every_pipeline_reproduces_a_saved_lora(family, checkpoint, tmp_path):
    name, model, batch, eps, sigma = family
    trained = load_model(str(checkpoint(name)), expert=model.expert)
    trained.check_shape(model.native)

    def output(which):
        with torch.no_grad():
            return which.predict(eps, sigma, batch.conditioning)

    names = trained.add_lora(2, 7.0)
    assert all(".lora_" in n for n in names)
    generator = torch.Generator().manual_seed(3)
    for n, parameter in trained.network.named_parameters():
        if n in names:
            parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    right, plain = output(trained), output(model)
    assert (right - plain).abs().max() > 1e-3
    trained.save_lora(tmp_path / "lora")
    pipe = model.pipeline_class.from_pretrained(checkpoint(name))
    if hasattr(pipe, "load_lora_weights"):
        second = {"load_into_transformer_2": True} if model.expert == "low" else {}
        pipe.load_lora_weights(tmp_path / "lora", **second)
    else:  # HunyuanVideo-1.5 in diffusers 0.42 has no loader for pipelines
        name_of_file = "pytorch_lora_weights.safetensors"
        pipe.transformer.load_lora_adapter(tmp_path / "lora", weight_name=name_of_file)
    inside = trained.bound_to(getattr(pipe, model.network_name))
    torch.testing.assert_close(output(inside), right, rtol=1e-4, atol=1e-5)
    for fuse in (False, True):
        again = load_model(
            str(checkpoint(name)),
            lora=tmp_path / "lora",
            fuse_lora=fuse,
            expert=model.expert,
        )
        again.check_shape(model.native)
        torch.testing.assert_close(output(again), right, rtol=1e-4, atol=1e-5)
    trained.save_full(tmp_path / "full")
    whole = model.pipeline_class.from_pretrained(tmp_path / "full")
    inside = trained.bound_to(getattr(whole, model.network_name))
    torch.testing.assert_close(output(inside), right, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", sorted(PIPELINES))
def test_sampling_goes_through_the_pipeline(encoded, name):
    model, _ = encoded(name)
    shape, images = model.native, first_frames(model)
    video = model.sample(
        ["a cat", "a dog"], seed=3, steps=2, guidance=1.0, images=images
    )
    assert video.shape == (2, shape.frames, shape.height, shape.width, 3)
    assert video.std() > 1
    again = model.sample(
        ["a cat", "a dog"], seed=3, steps=2, guidance=1.0, images=images
    )
    assert (video == again).all()
    if model.takes_images:
        with pytest.raises(InputError, match="an image per prompt"):
            model.sample(["a cat"], seed=3, steps=2, guidance=1.0)


def test_an_autoencoder_in_bf16_gives_near_latents_in_float32(family, checkpoint):
    name, model, _batch, _eps, _sigma = family
    low = load_model(str(checkpoint(name)), expert=model.expert, vae_dtype="bf16")
    low.check_shape(model.native)
    video = synthetic_clip(0, 1).read(model.native)
    found = {"latents": (low.encode_video(video), model.encode_video(video))}
    images = low.encode_images(video), model.encode_images(video)
    found |= {name: (images[0][name], images[1][name]) for name in images[0]}
    for low_value, right in found.values():
        assert low_value.dtype == torch.float32
        error = (low_value - right).norm() / right.norm()
        assert float(error) < 0.03
    assert not torch.equal(*found["latents"])
    parameters = low.load_encoders().vae.parameters()
    assert {parameter.dtype for parameter in parameters} == {torch.bfloat16}


def test_bf16_runs_and_is_near(family, checkpoint):
    name, model, batch, eps, sigma = family
    low = load_model(str(checkpoint(name)), dtype="bf16", expert=model.expert)
    low.check_shape(model.native)
    with torch.no_grad():
        right = model.predict(eps, sigma, batch.conditioning)
        found = low.predict(eps, sigma, batch.conditioning).float()
    assert (
        torch.nn.functional.cosine_similarity(found.flatten(), right.flatten(), 0)
        > 0.99
    )
    kept = set(getattr(type(low.network), "_keep_in_fp32_modules", None) or ())
    for n, parameter in low.network.named_parameters():
        wanted = torch.float32 if kept & set(n.split(".")) else torch.bfloat16
        assert parameter.dtype == wanted, n
