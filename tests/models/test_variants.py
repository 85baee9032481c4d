"""Checkpoints of a known class that cannot be served say so in one line."""

import json
import shutil

import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.models.load import load_model


def refused(folder, *parts, **options):
    with pytest.raises(InputError) as error:
        load_model(str(folder), **options)
    text = str(error.value)
    assert "\n" not in text
    for part in (str(folder), *parts):
        assert part in text, text


def edited(checkpoint, tmp_path, name, file, **changes):
    folder = shutil.copytree(checkpoint(name), tmp_path / name)
    path = folder / file
    value = json.loads(path.read_text())
    path.write_text(json.dumps({**value, **changes}))
    return folder


INDEX, NOISE = "model_index.json", "scheduler/scheduler_config.json"
NETWORK = "transformer/config.json"


@pytest.mark.parametrize(
    ("name", "file", "changes", "parts"),
    [
        ("wan_experts", INDEX, {"boundary_ratio": None}, ("boundary_ratio", "0.875")),
        ("wan_experts", INDEX, {"boundary_ratio": 1.5}, ("boundary_ratio",)),
        ("wan_image", INDEX, {"image_encoder": [None, None]}, ("image_encoder",)),
        ("cogvideox", NOISE, {"prediction_type": "epsilon"}, ("prediction_type",)),
        ("cogvideox", NOISE, {"_class_name": "DDIMScheduler"}, ("_class_name",)),
        (
            "hunyuan_video",
            NETWORK,
            {"image_condition_type": "token_replace"},
            ("image_condition_type", "text-to-video"),
        ),
        ("hunyuan_video_15", NETWORK, {"use_meanflow": True}, ("use_meanflow",)),
    ],
)
def test_variants_without_adapter(checkpoint, tmp_path, name, file, changes, parts):
    folder = edited(checkpoint, tmp_path, name, file, **changes)
    refused(folder, *parts, expert="high" if "experts" in name else None)


@pytest.mark.parametrize("damage", ["gone", "not json"])
def test_a_damaged_noise_schedule(checkpoint, tmp_path, damage):
    folder = shutil.copytree(checkpoint("cogvideox"), tmp_path / "ckpt")
    path = folder / NOISE
    path.unlink() if damage == "gone" else path.write_text("{")
    refused(folder, "scheduler_config.json")


def test_a_second_encoder_is_part_of_the_checkpoint(checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint("hunyuan_video"), tmp_path / "ckpt")
    shutil.rmtree(folder / "tokenizer_2")
    refused(folder, "tokenizer_2", "copy the whole checkpoint")
    shutil.rmtree(folder / "text_encoder_2")
    refused(folder, "text_encoder_2", "copy the whole checkpoint")


def test_a_missing_expert_is_named(checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint("wan_experts"), tmp_path / "ckpt")
    shutil.rmtree(folder / "transformer_2")
    refused(folder, "transformer_2", expert="low")
    assert load_model(str(folder), expert="high").expert == "high"
