"""A network is the same whichever way its weights came.

Files are made from a small pipeline's weights by the formats' own rules.
"""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from trained_lora import output

from tqd_probe.core.errors import InputError
from tqd_probe.models.load import load_model
from tqd_probe.models.number_types import choose_dtype
from tqd_probe.models.quantisation import dequantise, has_quantised_weights

EXPERT = {"wan_experts": "low"}
FAMILIES = ["wan", "wan_image", "wan_experts", "ltx", "hunyuan_video"]
FP8 = torch.float8_e4m3fn


@pytest.fixture
def weights(checkpoint):
    """Pipeline, model and weights of a family, by name in diffusers and original."""

    def get(name):
        ckpt = checkpoint(name)
        model = load_model(str(ckpt), expert=EXPERT.get(name))
        state = load_file(
            ckpt / model.network_name / "diffusion_pytorch_model.safetensors"
        )
        return str(ckpt), model, state, model.original_names.from_diffusers(state)

    return get


def write(path, state, prefix=""):
    state = {prefix + name: value.contiguous() for name, value in state.items()}
    save_file({name: value.clone() for name, value in state.items()}, path)
    return str(path)


def tensors(network):
    """Parameters and buffers, those that are not saved as well."""
    return dict([*network.named_parameters(), *network.named_buffers()])


def equal(found, right):
    found, right = tensors(found.network), tensors(right.network)
    assert found.keys() == right.keys()
    for name, value in right.items():
        assert found[name].dtype == value.dtype, name
        assert torch.equal(found[name], value), name
        assert found[name].requires_grad == value.requires_grad, name


@pytest.mark.parametrize(
    ("family", "dtype"),
    [*((family, "fp32") for family in FAMILIES), ("wan", "bf16"), ("ltx", "bf16")],
)
def test_every_naming_gives_the_network_of_the_pipeline(
    family, dtype, weights, tmp_path
):
    ckpt, _, state, original = weights(family)
    right = load_model(ckpt, expert=EXPERT.get(family), dtype=dtype)
    file = tmp_path / "net.safetensors"
    for named, prefix in (
        (original, ""),  # the authors' file
        (original, "model.diffusion_model."),  # ComfyUI
        (state, ""),  # diffusers
    ):
        write(file, named, prefix)
        found = load_model(
            str(file), expert=EXPERT.get(family), dtype=dtype, pipeline=ckpt
        )
        equal(found, right)


def test_logits_are_equal_and_the_network_quantised_alike(weights, tmp_path):
    ckpt, right, _, original = weights("wan")
    file = write(tmp_path / "net.safetensors", original)
    assert torch.equal(output(load_model(file, pipeline=ckpt)), output(right))
    eight = load_model(file, pipeline=ckpt, dtype="bf16", quantise="int8")
    same = load_model(ckpt, dtype="bf16", quantise="int8")
    assert has_quantised_weights(eight.network)
    assert torch.equal(output(eight), output(same))
    dequantise(eight.network)
    dequantise(same.network)
    equal(eight, same)


def test_shards_of_the_authors_are_read(weights, tmp_path):
    ckpt, right, _, original = weights("wan")
    names = sorted(original)
    for part, some in enumerate((names[:9], names[9:])):
        write(tmp_path / f"part{part}.safetensors", {n: original[n] for n in some})
    where = {n: f"part{int(i >= 9)}.safetensors" for i, n in enumerate(names)}
    index = "diffusion_pytorch_model.safetensors.index.json"
    (tmp_path / index).write_text(str({"weight_map": where}).replace("'", '"'))
    equal(load_model(str(tmp_path), pipeline=ckpt), right)


@pytest.mark.parametrize("scale_name", ["scale_weight", "weight_scale"])
@pytest.mark.parametrize("per_row", [False, True])
def test_scaled_fp8_is_multiplied_by_its_scales(weights, tmp_path, scale_name, per_row):
    ckpt, model, _, original = weights("hunyuan_video")
    state, wanted = {}, {}
    for name, value in original.items():
        state[name] = value
        if ".linear1.weight" in name or ".img_attn_qkv.weight" in name:
            peak = value.abs().amax(1, keepdim=True) if per_row else value.abs().max()
            scale = peak / 448
            state[name] = (value / scale).to(FP8)
            stem = name.removesuffix("weight")
            state[stem + scale_name] = scale.flatten() if per_row else scale
            state[stem + "scale_input"] = torch.ones(1)
            wanted[name] = state[name].float() * scale
    state["scaled_fp8"] = torch.zeros(2, dtype=FP8)
    file = write(tmp_path / "net.safetensors", state, "model.diffusion_model.")
    found = load_model(file, pipeline=ckpt).network.state_dict()
    parts = model.original_names.grouped(found)
    assert len(wanted) == 2
    for name, value in wanted.items():
        joined = torch.cat([found[part] for part in parts[name]])
        torch.testing.assert_close(joined, value, rtol=1e-6, atol=0)
        assert not torch.equal(joined, original[name])


def test_fp8_of_a_scaled_file_is_never_read_without_its_scale(weights, tmp_path):
    ckpt, _, _, original = weights("wan")
    name = "blocks.0.ffn.0.weight"
    eight = {**original, name: original[name].to(FP8)}
    file = tmp_path / "net.safetensors"
    write(file, {**eight, "scaled_fp8": torch.zeros(2, dtype=FP8)})
    refused(file, ckpt, name, "without its scale")
    write(file, {**eight, "blocks.0.ffn.0.scale_weight": torch.ones(7)})
    refused(file, ckpt, "7 scales for 32 rows")
    marker = torch.tensor(list(b'{"format": "nvfp4"}'), dtype=torch.uint8)
    write(file, {**eight, "blocks.0.ffn.0.comfy_quant": marker})
    refused(file, ckpt, name, "'nvfp4'")
    write(file, eight)  # no scales anywhere: the numbers themselves
    network = load_model(str(file), pipeline=ckpt).network
    assert torch.equal(
        network.get_parameter("blocks.0.ffn.net.0.proj.weight"), eight[name].float()
    )


def refused(file, pipeline, *parts):
    with pytest.raises(InputError) as error:
        load_model(str(file), pipeline=pipeline).network  # noqa: B018
    text = str(error.value)
    assert "\n" not in text
    for part in parts:
        assert part in text, text


def test_weights_of_another_model_are_refused(weights, checkpoint, tmp_path):
    ckpt, _, state, original = weights("wan")
    file = tmp_path / "net.safetensors"
    write(file, original)
    image = str(checkpoint("wan_image"))
    refused(file, image, "patch_embedding.weight: shape [24, 4, 1, 2, 2], and [24, 12,")
    refused(file, str(checkpoint("ltx")), "has no place in the network of")
    few = {name: original[name] for name in original if "blocks.1" not in name}
    write(file, few)
    refused(file, ckpt, "weights of the network are missing, such as blocks.1.")
    write(file, {**original, "vace_blocks.0.x": torch.zeros(1)})
    refused(file, ckpt, "vace_blocks.0.x", "has no place")
    write(file, {**state, "head.head.weight": torch.zeros(1, 1)})
    refused(file, ckpt, "head.head.weight")


def test_the_autoencoder_of_a_whole_checkpoint_is_left(weights, tmp_path, caplog):
    ckpt, right, _, original = weights("ltx")
    whole = {"model.diffusion_model." + name: v for name, v in original.items()}
    file = write(
        tmp_path / "net.safetensors", {**whole, "vae.decoder.x": torch.ones(1)}
    )
    equal(load_model(file, pipeline=ckpt), right)
    assert "vae.decoder.x" in caplog.text


def test_files_that_cannot_be_read_are_refused(weights, tmp_path):
    ckpt, _, _, original = weights("wan")
    file = tmp_path / "net.safetensors"
    write(file, original)
    refused(file, None, "give --pipeline DIR")
    refused(ckpt, ckpt, "--pipeline", "leave it out")
    refused(tmp_path / "none.safetensors", ckpt, "no such file")
    refused(tmp_path / "net.Q4_K_M.gguf", ckpt, "GGUF", "--quantise int8")
    refused(tmp_path / "net.pth", ckpt, "pickled weights are refused")
    file.write_bytes(file.read_bytes()[:-3])
    refused(file, ckpt, "truncated")
    write(file, {"blocks.0.x": torch.zeros(2, dtype=torch.uint8)})
    refused(file, ckpt, "blocks.0.x", "of type U8")
    write(file, {})
    refused(file, ckpt, "holds no tensors")


def test_what_a_file_decides(weights, tmp_path):
    ckpt, right, _, original = weights("wan")
    file = write(tmp_path / "net.safetensors", original)
    found = load_model(file, pipeline=ckpt)
    assert found.source == file
    assert found.fingerprint != right.fingerprint  # of the files' own names
    assert found.encoder_fingerprint == right.encoder_fingerprint
    shutil.copy(file, tmp_path / "again.safetensors")
    again = load_model(str(tmp_path / "again.safetensors"), pipeline=ckpt)
    assert again.fingerprint == found.fingerprint


def test_fp8_beside_float16_is_computed_in_bf16(monkeypatch, tmp_path):
    monkeypatch.setattr("tqd_probe.models.number_types.has_bf16", lambda _: True)
    file = tmp_path / "net.safetensors"
    save_file({"a": torch.zeros(2).half(), "b": torch.zeros(2).to(FP8)}, file)
    assert choose_dtype("--dtype", "auto", "cuda", [file]) == "bf16"
    save_file({"a": torch.zeros(2).half()}, file)
    assert choose_dtype("--dtype", "auto", "cuda", [file]) == "fp32"


def test_what_is_no_networks_weights_is_called_what_it_is(weights, tmp_path):
    ckpt = weights("wan")[0]
    file = tmp_path / "net.safetensors"
    write(file, {"blocks.0.attn1.to_q.lora_A.weight": torch.zeros(4, 8)})
    for pipeline in (None, ckpt):
        refused(file, pipeline, f"{file}: is a LoRA; give it as --lora, and the checkp")
    file.write_bytes(b"\0\0\0\x18ftypmp42" + bytes(99))
    refused(file, ckpt, f"{file}: is a video; give a diffusers pipeline directory")
