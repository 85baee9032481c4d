import json
import os

import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.core.known_files import PHRASES, beside, explained, kind_of

FILES = {
    "bands.json": ('{"format": "tqd-band-schedule"}', "bands"),
    "gradsim.json": ('{"format": "tqd-gradsim"}', "gradsim"),
    "scores.summary.json": ('{"format": "tqd-scores"}', "summary"),
    "scores.journal.jsonl": (
        '{"format": "tqd-score-journal"}\n{"video": 1}',
        "journal",
    ),
    "cost.json": ('{"predicted": {}, "achieved": {}}', "cost"),
    "run.json": ('{"settings": {}, "inputs": {}, "versions": {}}', "run"),
    "density.json": ('{"buckets": 10, "draws": 1, "counts": {}}', "draws"),
    "metrics.jsonl": ('{"step": 1, "loss": 0.5}\n{"step": 2}', "log"),
    "clips.csv": ("clip,class,usefulness\na,golden,1\n", "usefulness"),
    "scores.csv": ("video,mq,vq\na.mp4,1,1\n", "table"),
    "pipe.toml": ("dataset = 'd.toml'\n[model]\ntype = 'wan'\n", "diffusion-pipe"),
    "d.toml": ("[[directory]]\npath = 'a'\n", "diffusion-pipe data"),
    "musubi.toml": ("[network]\nnetwork_module = 'networks.lora_wan'\n", "musubi"),
    "m.toml": ("[[datasets]]\nvideo_directory = 'a'\n", "musubi data"),
    "train.sh": ("accelerate launch x/wan_train_network.py --dit a", "musubi"),
    "other.sh": ("accelerate launch train.py --dataset_base_path a", "diffsynth"),
    "config.json": ('{"--model_family": "wan"}', "simpletuner"),
    "data.json": ('[{"id": "a", "instance_data_dir": "a"}]', "simpletuner data"),
    "toolkit.yaml": ("config: {process: [{}]}", "ai-toolkit"),
    "nemo.yaml": ("flow_matching: {adapter_type: simple}", "nemo"),
    "ltx.yaml": ("data: {preprocessed_data_root: a}", "ltx2"),
    "fast.yaml": ("models: {student: {}}", "fastvideo"),
    "rows.json": ('[{"video": "a.mp4"}]', "table"),
    "run.toml": ("# tqd_probe 1.0; replay\nsteps = 3\n", "options"),
    "none.yaml": ("\n", "empty"),
    "list.json": ("[1]", None),
    "torn.json": ("{", None),
    "words.txt": ("a caption", None),
}


def test_files_are_known_by_their_content(tmp_path):
    for name, (text, kind) in FILES.items():
        (tmp_path / name).write_text(text)
        assert kind_of(tmp_path / name) == kind, name
    assert {kind for _, kind in FILES.values()} - {None} <= PHRASES.keys()
    assert kind_of(tmp_path / "absent.json") is None


def test_what_is_no_text_is_known_too(tmp_path):
    """A video, weights, a pickle under a name that promises something else."""
    path = tmp_path / "train.toml"
    for start, kind in (
        (b"\0\0\0\x18ftypmp42" + bytes(99), "video"),
        (b"PAR1" + bytes(99), "table"),
        (b"\x80\x02}q\0.", "pickle"),
        (bytes(range(256)), "binary"),
    ):
        path.write_bytes(start)
        assert kind_of(path) == kind
        assert kind in PHRASES
    path.write_text("dataset = 'd.toml'\n[model]\ntype = 'wan'\n", encoding="utf-16")
    assert kind_of(path) == "diffusion-pipe"
    path.unlink()
    os.mkfifo(path)  # read, it would wait for ever
    assert kind_of(path) is None


def test_folders_are_known_by_their_files(tmp_path):
    assert kind_of(tmp_path) == "folder"
    (tmp_path / "run.json").touch()
    (tmp_path / "checkpoints").mkdir()
    assert kind_of(tmp_path) == "train folder"
    (tmp_path / "verify.json").touch()
    assert kind_of(tmp_path) == "verify folder"
    (tmp_path / "gradsim.json").touch()
    assert kind_of(tmp_path) == "gradsim folder"
    assert beside(tmp_path, "run.json") == beside(tmp_path / "x", "run.json")
    (tmp_path / "model_index.json").touch()
    assert kind_of(tmp_path) == "pipeline"


def test_an_error_says_what_the_file_is(tmp_path):
    path = tmp_path / "gradsim.json"
    path.write_text(json.dumps({"format": "tqd-gradsim"}))
    with pytest.raises(InputError) as error:
        with explained(path, {"bands"}, lambda kind: f"{kind}: give bands.json"):
            raise InputError("a field is missing")
    assert str(error.value) == (
        f"{path}: is the result of gradsim; gradsim: give bands.json"
    )
    with pytest.raises(InputError, match=r"^a field is missing$"):
        with explained(path, {"gradsim"}, str):
            raise InputError("a field is missing")
