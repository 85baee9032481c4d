import json

import pytest

from tqd_probe.clips.source import open_clips
from tqd_probe.core.errors import InputError
from tqd_probe.scoring.tasks import list_tasks

DIFFUSION_PIPE = """
resolutions = [512]
enable_ar_bucket = true
frame_buckets = [1, 33]
[[directory]]
path = '{folder}/one'
num_repeats = 5
[[directory]]
path = '{folder}/two'
ar_buckets = [1.0]
"""
MUSUBI = """
[general]
resolution = [960, 544]
caption_extension = ".cap"
batch_size = 1
[[datasets]]
video_directory = "{folder}/one"
cache_directory = "/cache/one"
target_frames = [1, 25]
num_repeats = 2
[[datasets]]
video_jsonl_file = "more.jsonl"
num_repeats = 3
[[datasets]]
image_directory = "{folder}/images"
"""


@pytest.fixture
def folder(tmp_path):
    for name in ("one/a.mp4", "two/b.mp4", "two/c.mp4"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "one" / "a.txt").write_text("a cat")
    (tmp_path / "one" / "a.cap").write_text("a cat of musubi")
    return tmp_path


def described(folder, text):
    path = folder / "data.toml"
    path.write_text(text.replace("{folder}", str(folder)))
    clips = open_clips(str(path), None, 0)
    rows = clips.rows.values()
    found = {row.video.name: (row.caption, row.repeats) for row in rows}
    assert len(list_tasks(str(path))) == len(found)
    return found, clips.notes


def test_diffusion_pipe(folder):
    captions = {"b.mp4": ["a dog", "a hound"], "c.mp4": "a bird"}
    (folder / "two" / "captions.json").write_text(json.dumps(captions))
    found, notes = described(folder, DIFFUSION_PIPE)
    assert found == {
        "a.mp4": ("a cat", 5),
        "b.mp4": ("a dog", 1),
        "c.mp4": ("a bird", 1),
    }
    assert notes[0] == (
        "read as diffusion-pipe's; not used: ar_buckets, enable_ar_bucket,"
        " frame_buckets, resolutions"
    )
    (folder / "two" / "captions.json").unlink()
    with pytest.raises(InputError, match=r"two/b.txt: caption: no such file"):
        described(folder, DIFFUSION_PIPE)


def test_musubi(folder, monkeypatch):
    monkeypatch.chdir(folder / "one")
    rows = [
        {"video_path": "two/b.mp4", "caption": "a dog"},  # beside the JSONL file
        {"video_path": "a.mp4", "caption": "again", "control_path": "x.mp4"},
    ]
    (folder / "more.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found, notes = described(folder, MUSUBI)
    assert found == {
        "a.mp4": ("a cat of musubi", 5),
        "b.mp4": ("a dog", 3),
    }
    assert "[[datasets]] 3: holds no videos, passed over" in notes
    assert any(
        note.startswith("read as musubi-tuner's; not used: batch_size, cache_directory")
        for note in notes
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a = ", "is not TOML"),
        ("a = 1", "holds neither [[directory]] (diffusion-pipe) or [[datasets]]"),
        ("dataset = 'other.toml'", "give other.toml"),
        ("[[directory]]\npath = 'absent'", "[[directory]] 1: path: absent: no such"),
        ("[[directory]]\npath = 'one'\nnum_repeats = 0", "1: num_repeats: is 0"),
        ("[[datasets]]\nvideo_jsonl_file = 'no.jsonl'", "1: no.jsonl: no such file"),
        ("[[datasets]]\nimage_directory = 'one'", "holds no videos"),
        ("directory = [3]", "holds 3 among its datasets"),
    ],
)
def test_faults(folder, text, reason):
    with pytest.raises(InputError) as caught:
        described(folder, text)
    assert reason in str(caught.value)
    assert str(caught.value).startswith(str(folder / "data.toml"))
