import json
import struct
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save_file

from tqd_probe.clips.video import CONTAINERS, write_video
from tqd_probe.core.file_content import kind_of_content

STARTS = {
    "empty": b" \n\t\n",
    "picture": b"\x89PNG\r\n\x1a\n" + bytes(8),
    "video": b"\0\0\0\x18ftypmp42" + bytes(8),
    "pickle": b"\x80\x02}q\0.",
    "GGUF": b"GGUF\x03\0\0\0",
    "Parquet": b"PAR1" + bytes(8),
    "binary": bytes(range(256)),
}
TEXTS = ["a,b\0c\n", "a caption\n", "{}", "- 1\n", "caf\xe9", "PK is short for a thing"]


@pytest.mark.parametrize(("kind", "start"), STARTS.items())
def test_files_are_known_by_their_first_bytes(kind, start, tmp_path):
    for name in ("a.toml", "a.json", "a.safetensors", "a"):  # whatever they are called
        (tmp_path / name).write_bytes(start)
        assert kind_of_content(tmp_path / name) == kind


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("text", TEXTS)
def test_text_is_no_kind_in_any_encoding(encoding, text, tmp_path):
    (tmp_path / "a").write_text(text, encoding=encoding)
    assert kind_of_content(tmp_path / "a") is None


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_videos_of_every_container_that_is_written(suffix, tmp_path):
    write_video(tmp_path / f"a{suffix}", np.zeros((4, 32, 32, 3), np.uint8), 8.0)
    (tmp_path / f"a{suffix}").rename(tmp_path / "a.toml")
    assert kind_of_content(tmp_path / "a.toml") == "video"


def test_weights_and_loras_are_told_apart_by_their_header(tmp_path):
    path, one = tmp_path / "a", {"blocks.0.weight": np.zeros(2, np.float32)}
    save_file(one, path)
    assert kind_of_content(path) == "weights"
    for name in ("x.lora_A.weight", "lora_unet_x.lora_down.weight"):
        save_file({**one, name: np.zeros(2, np.float32)}, path)
        assert kind_of_content(path) == "LoRA"
    path.write_bytes(struct.pack("<Q", 9) + b"{damaged}" + bytes(4))
    assert kind_of_content(path) == "weights"


def test_pickles_in_archives_are_told_from_other_archives(tmp_path):
    path = tmp_path / "a.pt"
    for inside, kind in (("lora/data.pkl", "pickle"), ("notes.txt", "binary")):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(inside, json.dumps({}))
        assert kind_of_content(path) == kind
    path.write_bytes(path.read_bytes()[:20])
    assert kind_of_content(path) == "binary"
