import json

import pytest
import torch
from damaged_checkpoints import edit, refused, use_all

from tqd_probe.core.errors import InputError
from tqd_probe.models.load import checkpoint_path, load_model
from tqd_probe.models.lora_file import FILE


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


def test_unknown_device_and_type(pipeline):
    with pytest.raises(InputError, match="--device warp"):
        load_model(str(pipeline), device="warp")
    with pytest.raises(InputError, match="--dtype fp8"):
        load_model(str(pipeline), dtype="fp8")


def test_the_device_is_chosen_where_it_is_asked(pipeline):
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert load_model(str(pipeline), device="auto").device.type == expected


def test_bf16_keeps_what_wan_keeps_in_fp32(pipeline):
    network = load_model(str(pipeline), dtype="bf16").network
    kinds = {name: p.dtype for name, p in network.named_parameters()}
    assert kinds["blocks.0.attn1.to_q.weight"] == torch.bfloat16
    assert kinds["blocks.0.scale_shift_table"] == torch.float32
    assert kinds["condition_embedder.time_embedder.linear_1.weight"] == torch.float32


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


def test_component_missing_from_the_index(copied):
    edit(
        copied / "model_index.json",
        lambda c: {k: v for k, v in c.items() if k != "vae"},
    )
    refused(copied, "model_index.json: vae: missing")


def test_a_file_is_not_a_checkpoint(copied):
    refused(copied / "model_index.json", "not a directory")
    refused("", "not a directory")


def test_a_folder_called_tiny_is_not_mistaken(pipeline, tmp_path, monkeypatch):
    (tmp_path / "tiny").symlink_to(pipeline)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"--ckpt tiny: .* write \./tiny for that"):
        checkpoint_path("tiny")
    assert checkpoint_path("./tiny").samefile(pipeline)


def test_what_is_no_checkpoint_is_called_what_it_is(tmp_path):
    bands = tmp_path / "bands.json"
    bands.write_text('{"format": "tqd-band-schedule"}')
    refused(bands, "is a band schedule; give a diffusers pipeline directory")
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "run.json").touch()
    result = run / "result"
    result.mkdir()
    (result / FILE).touch()
    refused(run, f"is a run directory of train; give its LoRA as --lora {result}")
    (result / "model_index.json").touch()
    refused(run, f"is a run directory of train; give {result}")
