import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from tqd_probe.core.errors import InputError
from tqd_probe.models.load import load_model
from tqd_probe.models.weights import fingerprint


def refused(ckpt, *parts):
    with pytest.raises(InputError) as error:
        load_model(str(ckpt))
    text = str(error.value)
    assert "\n" not in text
    for part in parts:
        assert part in text, text


def test_missing(tmp_path):
    refused(tmp_path / "none", "none", "no such directory")


def test_not_a_pipeline(tmp_path):
    refused(tmp_path, "no model_index.json", "save_pretrained")


def test_unknown_class_lists_the_known(copied):
    path = copied / "model_index.json"
    index = {**json.loads(path.read_text()), "_class_name": "MochiPipeline"}
    path.write_text(json.dumps(index))
    refused(copied, "'MochiPipeline' has no adapter", "WanPipeline")


def test_index_that_is_not_json(copied):
    (copied / "model_index.json").write_text("{")
    refused(copied, "model_index.json", "not JSON")


def test_pickled_weights_are_refused(copied):
    file = next((copied / "transformer").glob("*.safetensors"))
    torch.save(load_file(file), copied / "transformer" / "diffusion_pytorch_model.bin")
    file.unlink()
    refused(copied, "diffusion_pytorch_model.bin", "pickled weights are refused")


def test_missing_component(copied):
    import shutil

    shutil.rmtree(copied / "vae")
    refused(copied, "vae", "missing", "copy the whole checkpoint")


@pytest.mark.parametrize("keep", [0, 4, 100, -10])
@pytest.mark.parametrize("component", ["transformer", "vae", "text_encoder"])
def test_truncated_weights(copied, component, keep):
    file = next((copied / component).glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:keep])
    refused(copied, str(file), "again")


def test_weights_that_are_not_safetensors(copied):
    file = next((copied / "vae").glob("*.safetensors"))
    file.write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00[1,2,3] junk")
    refused(copied, str(file), "not a whole safetensors file")


def test_fingerprint_is_of_the_tensors_not_of_the_files(copied):
    folder = copied / "transformer"
    before = fingerprint(folder)
    file = next(folder.glob("*.safetensors"))
    tensors = load_file(file)
    names = sorted(tensors)
    half = len(names) // 2
    file.unlink()
    save_file({n: tensors[n] for n in names[:half]}, folder / "part-1.safetensors")
    save_file({n: tensors[n] for n in names[half:]}, folder / "part-2.safetensors")
    assert fingerprint(folder) == before
    tensors[names[0]].view(-1)[0] += 1e-3
    save_file({n: tensors[n] for n in names[:half]}, folder / "part-1.safetensors")
    assert fingerprint(folder) != before
    assert before.startswith("sha256:")
    assert len(before) == 71


def test_unknown_device_and_type(pipeline):
    with pytest.raises(InputError, match="--device warp"):
        load_model(str(pipeline), device="warp")
    with pytest.raises(InputError, match="--dtype fp8"):
        load_model(str(pipeline), dtype="fp8")


def test_bf16_keeps_what_wan_keeps_in_fp32(pipeline):
    network = load_model(str(pipeline), dtype="bf16").network
    kinds = {name: p.dtype for name, p in network.named_parameters()}
    assert kinds["blocks.0.attn1.to_q.weight"] == torch.bfloat16
    assert kinds["blocks.0.scale_shift_table"] == torch.float32
    assert kinds["condition_embedder.time_embedder.linear_1.weight"] == torch.float32


def edit(path, change):
    value = json.loads(path.read_text())
    path.write_text(json.dumps(change(value)))


def use_all(ckpt):
    model = load_model(str(ckpt))
    model.encode_caption("x")
    return model.network


@pytest.mark.parametrize(
    ("component", "change", "parts"),
    [
        ("transformer", lambda c: {**c, "num_layers": 1}, ("unexpected weights",)),
        ("transformer", lambda c: {**c, "num_layers": 3}, ("transformer",)),
        ("transformer", lambda c: {**c, "ffn_dim": 64}, ("transformer",)),
        ("vae", lambda c: {**c, "z_dim": 8}, ("vae",)),
        ("vae", lambda c: {**c, "_class_name": "Other"}, ("_class_name 'Other'",)),
        ("transformer", lambda c: [], ("config.json", "_class_name")),
    ],
)
def test_configuration_that_does_not_fit_the_weights(copied, component, change, parts):
    edit(copied / component / "config.json", change)
    with pytest.raises(InputError) as error:
        use_all(copied)
    for part in parts:
        assert part in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("component", ["transformer", "vae", "text_encoder"])
def test_missing_tensors_are_not_filled_with_random_numbers(copied, component):
    file = next((copied / component).glob("*.safetensors"))
    tensors = load_file(file)
    tensors.pop(sorted(tensors)[-1])
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(InputError, match=component):
        use_all(copied)


def test_integer_weights_are_refused(copied):
    file = next((copied / "transformer").glob("*.safetensors"))
    tensors = load_file(file)
    name = sorted(tensors)[0]
    tensors[name] = tensors[name].to(torch.int8)
    save_file(tensors, file, metadata={"format": "pt"})
    refused(copied, "type I8", "floating-point")


@pytest.mark.parametrize("damage", ["gone", "empty", "garbled"])
def test_tokenizer_damage(copied, damage):
    folder = copied / "tokenizer"
    for file in folder.iterdir():
        file.write_text("{") if damage == "garbled" else file.unlink()
    if damage == "gone":
        folder.rmdir()
    with pytest.raises(InputError, match="tokenizer"):
        use_all(copied)


def test_the_tokenizer_is_part_of_the_encoders_fingerprint(copied):
    before = load_model(str(copied)).encoder_fingerprint
    edit(copied / "tokenizer" / "tokenizer_config.json", lambda c: {**c, "x": 1})
    assert load_model(str(copied)).encoder_fingerprint != before


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda c: {**c, "num_frames": "5"}, "num_frames"),
        (lambda c: {**c, "num_frames": 5.5}, "num_frames"),
        (lambda c: {**c, "height": -32}, "height"),
        (lambda c: {**c, "fps": 0}, "fps"),
        (lambda c: {**c, "heigth": 32}, "heigth"),
        (lambda c: {"height": 32}, "num_frames"),
        (lambda c: [], "content"),
    ],
)
def test_native_clip_faults(copied, change, field):
    edit(copied / "native_clip.json", change)
    refused(copied, f"native_clip.json: {field}:")


def test_component_missing_from_the_index(copied):
    edit(
        copied / "model_index.json",
        lambda c: {k: v for k, v in c.items() if k != "vae"},
    )
    refused(copied, "model_index.json: vae: missing")


def test_a_file_is_not_a_checkpoint(copied):
    refused(copied / "model_index.json", "not a directory")
    refused("", "not a directory")
