"""What is trained here is what diffusers generates with, and the other way round."""

import json

import pytest
import torch
from diffusers import WanPipeline
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from trained_lora import ALPHA, RANK, output, output_of, trained

from tqd_probe.core.errors import InputError
from tqd_probe.models.load import load_model
from tqd_probe.models.lora import add_lora, has_lora
from tqd_probe.models.lora_file import FILE, METADATA, LoraLayer, LoraWeights


@pytest.fixture
def model(pipeline):
    return load_model(str(pipeline))


def test_a_fresh_lora_changes_nothing_and_is_all_that_is_trained(model):
    before = output(model)
    names = model.add_lora(RANK, ALPHA, seed=5)
    torch.testing.assert_close(output(model), before)
    needing = [n for n, p in model.network.named_parameters() if p.requires_grad]
    assert needing == names
    assert len(names) == 2 * 2 * 2 * 4  # A and B, blocks, attentions, projections
    listed = [name for group in model.modules().values() for name in group]
    assert sorted(listed) == sorted(names)
    assert "block01.cross_attention" in model.modules()


def test_a_fresh_lora_depends_on_the_seed_alone(pipeline, model):
    other = load_model(str(pipeline))
    torch.manual_seed(99)
    for each in (model, other):
        each.add_lora(RANK, ALPHA, seed=5)
        torch.manual_seed(7)
    for (name, a), b in zip(
        model.network.named_parameters(), other.network.parameters()
    ):
        assert torch.equal(a, b), name
    one = dict(model.network.named_parameters())
    first = one["blocks.0.attn1.to_q.lora_A.default.weight"]
    second = one["blocks.0.attn1.to_k.lora_A.default.weight"]
    assert not torch.equal(first, second)
    assert float(first.detach().abs().max()) <= 24**-0.5
    assert float(first.detach().std()) == pytest.approx((3 * 24) ** -0.5, rel=0.2)


@pytest.mark.parametrize("alpha", [ALPHA, 3.0, 1.0])
def test_the_pipeline_reproduces_a_saved_lora(pipeline, model, tmp_path, alpha):
    plain = output(model)
    trained(model, alpha)
    right = output(model)
    file = model.save_lora(tmp_path / "lora", {"schedule": "sha256:1"})
    pipe = WanPipeline.from_pretrained(pipeline)
    pipe.load_lora_weights(tmp_path / "lora")
    torch.testing.assert_close(output_of(model, pipe), right, rtol=1e-5, atol=1e-6)
    assert (right - plain).abs().max() > 0.01
    with safe_open(file, "pt") as handle:
        metadata = handle.metadata()
    assert metadata["schedule"] == "sha256:1"
    stated = json.loads(metadata[METADATA])
    assert stated["transformer.lora_alpha"] == alpha
    assert stated["transformer.r"] == RANK


def test_a_saved_lora_is_loaded_again_to_be_probed(pipeline, model, tmp_path):
    names = trained(model)
    model.save_lora(tmp_path)
    again = load_model(str(pipeline), lora=tmp_path)
    torch.testing.assert_close(output(again), output(model))
    listed = [name for group in again.modules().values() for name in group]
    assert sorted(listed) == sorted(names)
    assert again.fingerprint != model.fingerprint
    assert again.fingerprint == load_model(str(pipeline), lora=tmp_path).fingerprint


def test_a_fused_lora_gives_the_same_outputs_and_all_parameters(
    pipeline, model, tmp_path
):
    trained(model)
    model.save_lora(tmp_path)
    fused = load_model(str(pipeline), lora=tmp_path / FILE, fuse_lora=True)
    torch.testing.assert_close(output(fused), output(model), rtol=1e-4, atol=1e-5)
    assert not has_lora(fused.network)
    plain = [n for n, _ in load_model(str(pipeline)).network.named_parameters()]
    assert [n for n, _ in fused.network.named_parameters()] == plain
    assert all(p.requires_grad for p in fused.network.parameters())


def test_a_file_without_metadata_means_alpha_equal_to_rank(
    pipeline, model, tmp_path, caplog
):
    trained(model, alpha=RANK)
    right = output(model)
    file = model.save_lora(tmp_path)
    save_file(load_file(file), file)
    with caplog.at_level("WARNING", logger="tqd_probe"):
        found = output(load_model(str(pipeline), lora=file))
    torch.testing.assert_close(found, right)
    assert "states no alpha" in caplog.text


def test_bf16_keeps_the_lora_in_float32(pipeline, model, tmp_path):
    trained(model)
    model.save_lora(tmp_path)
    again = load_model(str(pipeline), dtype="bf16", lora=tmp_path)
    kinds = {n: p.dtype for n, p in again.network.named_parameters()}
    assert {k for n, k in kinds.items() if ".lora_" in n} == {torch.float32}
    assert kinds["blocks.0.attn1.to_q.base_layer.weight"] == torch.bfloat16
    gap = output(again).float() - output(model)
    assert gap.abs().max() < 0.1 * output(model).abs().max()


def test_diffusers_loads_what_is_saved_for_comfyui(pipeline, model, tmp_path):
    trained(model)
    file = model.save_lora(tmp_path, {"schedule": "sha256:1"}, keys="comfyui")
    state = load_file(file)
    assert float(state["diffusion_model.blocks.1.cross_attn.o.alpha"]) == ALPHA
    pipe = WanPipeline.from_pretrained(pipeline)
    pipe.load_lora_weights(tmp_path)
    torch.testing.assert_close(output_of(model, pipe), output(model))
    with safe_open(file, "pt") as handle:
        assert handle.metadata() == {"schedule": "sha256:1", "format": "pt"}


def test_parts_of_a_fused_layer_are_saved_for_comfyui_as_one(checkpoint, tmp_path):
    """Of other ranks and scales, one of them missing."""
    generator = torch.Generator().manual_seed(4)
    layers = {}
    for name, rank, alpha in (("to_q", 2, 6.0), ("to_v", 1, 5.0)):
        a = torch.randn(rank, 24, generator=generator)
        b = torch.randn(24, rank, generator=generator)
        layers[f"transformer_blocks.0.attn.{name}"] = LoraLayer(a, b, alpha)
    # A name that is the end of another one.
    a, b = torch.randn(1, 24), torch.randn(16, 1)
    layers["proj_out"] = LoraLayer(a, b, 1.0)
    ckpt = str(checkpoint("hunyuan_video"))
    model = load_model(ckpt)
    names = model.load_lora(LoraWeights(layers))
    assert len(names) == 6
    file = model.save_lora(tmp_path / "comfyui", keys="comfyui")
    key = "diffusion_model.double_blocks.0.img_attn_qkv"
    state = load_file(file)
    assert state[f"{key}.lora_A.weight"].shape == (3, 24)
    assert state[f"{key}.lora_B.weight"].shape == (72, 3)
    model.save_lora(tmp_path / "diffusers")
    for kind in ("comfyui", "diffusers"):
        again = load_model(ckpt, lora=tmp_path / kind).network
        for name, layer in layers.items():
            found = again.get_submodule(name).get_delta_weight("default")
            wanted = layer.alpha / len(layer.a) * layer.b @ layer.a
            torch.testing.assert_close(found, wanted)
        missing = again.get_submodule("transformer_blocks.0.attn.to_k")
        if kind == "comfyui":
            assert not missing.get_delta_weight("default").any()


def refused(pipeline, lora, *parts, **options):
    with pytest.raises(InputError) as error:
        load_model(str(pipeline), lora=lora, **options).network  # noqa: B018
    text = str(error.value)
    assert "\n" not in text
    for part in parts:
        assert part in text, text


def test_bad_lora_files_are_refused(pipeline, model, tmp_path):
    trained(model)
    good = model.save_lora(tmp_path / "good")
    tensors = load_file(good)
    bad = tmp_path / "bad.safetensors"
    refused(pipeline, tmp_path / "none", "none", "no such file")
    refused(pipeline, tmp_path, "0 safetensors files")
    (tmp_path / "old.bin").write_bytes(b"x")
    refused(pipeline, tmp_path / "old.bin", "pickled weights are refused")
    bad.write_bytes(good.read_bytes()[:-10])
    refused(pipeline, bad, str(bad), "truncated")
    name = next(iter(tensors))
    save_file({**tensors, name: torch.full_like(tensors[name], torch.nan)}, bad)
    refused(pipeline, bad, "not finite", name.removeprefix("transformer."))
    save_file({name.replace("blocks.0", "blocks.9"): tensors[name]}, bad)
    refused(pipeline, bad, "--lora")
    extra = {"transformer.blocks.9.attn1.to_q.lora_A.weight": tensors[name].clone()}
    save_file({**tensors, **extra}, bad)
    refused(pipeline, bad, "--lora", "blocks.9.attn1.to_q.lora_A.weight")
    save_file({**tensors, name: tensors[name][:, :5].contiguous()}, bad)
    refused(pipeline, bad, "--lora", "trained on this model")
    save_file({"a.lora_A.weight": torch.ones(2, 2)}, bad)
    refused(pipeline, bad, "no place")
    save_file(tensors, bad, metadata={METADATA: "{"})
    refused(pipeline, bad, "not JSON")
    refused(pipeline, None, "--fuse-lora", fuse_lora=True)


def test_bad_requests_are_refused(model, tmp_path):
    with pytest.raises(InputError, match="no LoRA"):
        model.save_lora(tmp_path)
    with pytest.raises(InputError, match="fit no linear layer"):
        model.add_lora(2, 2, targets="nothing")
    with pytest.raises(InputError, match="not a regular expression"):
        model.add_lora(2, 2, targets="(")
    with pytest.raises(InputError, match="positive"):
        add_lora(model.network, 0, 1, "x", 0)
    model.add_lora(2, 2)
    with pytest.raises(InputError, match="a LoRA already"):
        model.add_lora(2, 2)
    assert not list(tmp_path.iterdir())


def test_a_family_with_one_network_has_no_experts(pipeline):
    with pytest.raises(InputError, match="--expert high"):
        load_model(str(pipeline), expert="high")


def test_what_is_no_lora_is_called_what_it_is(pipeline, tmp_path):
    video = tmp_path / "a.safetensors"
    video.write_bytes(b"\0\0\0\x18ftypmp42" + bytes(99))
    refused(pipeline, video, f"{video}: is a video; give a LoRA")
    torch.save({"a": torch.zeros(1)}, tmp_path / "a.pt")
    refused(pipeline, tmp_path / "a.pt", "pickled weights", "only .safetensors is read")
    refused(pipeline, pipeline, "is a diffusers pipeline; a pipeline is given as --ck")
    save_file({}, video)
    refused(pipeline, video, "holds no tensors; give a LoRA")
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "run.json").touch()
    (run / "result").mkdir()
    result = run / "result" / FILE
    result.touch()
    refused(pipeline, run, f"is a run directory of train; give {result}")
