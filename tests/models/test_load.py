import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from tqd_probe.errors import InputError
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
