import json
import unicodedata

import pytest

from tqd_probe.clips.clip_table import caption_text, open_clip_table
from tqd_probe.clips.manifest import read_manifest
from tqd_probe.clips.source import open_clips
from tqd_probe.core.errors import InputError
from tqd_probe.scoring.tasks import list_tasks

LAYOUTS = [  # trainer, file, video, caption
    ("DiffSynth", "metadata.csv", "video", "prompt"),
    ("VideoX-Fun", "metadata.json", "file_path", "text"),
    ("Hugging Face", "metadata.csv", "file_name", "text"),
    ("finetrainers", "metadata.jsonl", "file_name", "caption"),
    ("LTX", "dataset.json", "media_path", "caption"),
    ("FastVideo", "videos2caption.json", "path", "cap"),
    ("Open-Sora", "clips.csv", "path", "text"),
    ("musubi-tuner", "clips.jsonl", "video_path", "caption"),
]


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        lines = [rows[0], *(row.values() for row in rows)]
        text = "".join(",".join(map(str, line)) + "\n" for line in lines)
    elif path.suffix == ".json":
        text = json.dumps(rows)
    else:
        text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(("trainer", "name", "video", "caption"), LAYOUTS)
def test_tables_of_trainers(tmp_path, trainer, name, video, caption):
    (tmp_path / "a.mp4").write_bytes(b"")
    row = {video: "a.mp4", caption: "a cat"}
    path = write(tmp_path / name, [row])
    (found,) = read_manifest(path)
    assert (found.video, found.caption) == (tmp_path / "a.mp4", "a cat"), trainer
    (task,) = list_tasks(str(path))
    assert (task.video, task.caption) == (str(tmp_path / "a.mp4"), "a cat")
    if name not in ("dataset.json", "clips.csv", "clips.jsonl"):  # found in its folder
        assert open_clips(str(tmp_path), None, 0).golden[0].caption == "a cat"
        assert list_tasks(str(tmp_path))[0].caption == "a cat"


def test_where_paths_start(tmp_path, monkeypatch):
    rows = [{"path": "a.mp4", "cap": ["one", "two"], "fps": 24, "resolution": {"h": 1}}]
    path = write(tmp_path / "data" / "videos2caption.json", rows)
    for folder in (tmp_path, tmp_path / "data" / "videos", tmp_path / "data"):
        folder.mkdir(exist_ok=True)
        (folder / "a.mp4").write_bytes(b"")
        monkeypatch.chdir(tmp_path)
        notes = []
        (row,) = read_manifest(path, notes)
        assert row.video.resolve() == folder / "a.mp4"
        assert row.caption == "one"
        assert "columns not used: fps, resolution" in notes
        assert "1 clips have several captions; the first counts" in notes
        assert any("paths start at" in x for x in notes) is (folder.name != "data")
    assert open_clips(str(tmp_path / "data"), None, 0).golden[0].caption == "one"


def test_a_column_that_names_a_file_is_taken_before_an_id(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"")
    rows = [{"id": "7", "video": "clip 7", "file_name": "a.mp4", "text": "a cat"}]
    table = open_clip_table(write(tmp_path / "t.jsonl", rows))
    assert table.names["video"] == "file_name"
    assert table.notes[0] == (
        "videos are named by column 'file_name', not by video, id"
    )
    rows[0]["file_name"] = "absent.mp4"  # then the order of names decides
    table = open_clip_table(write(tmp_path / "t.jsonl", rows))
    assert table.names["video"] == "video"
    assert table.notes[0] == (
        "none of the first 1 rows names a file by column 'video' or 'file_name' or"
        f" 'id'; the first would be {tmp_path}/clip 7"
    )


def test_paths_that_windows_wrote(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.mp4").write_bytes(b"")
    rows, notes = [{"video": "sub\\a.mp4", "caption": "x"}], []
    (row,) = read_manifest(write(tmp_path / "t.jsonl", rows), notes)
    assert row.video == tmp_path / "sub" / "a.mp4"
    assert notes == ["backslashes in paths are read as slashes"]
    (tmp_path / "sub\\a.mp4").write_bytes(b"")  # a file of that very name
    assert read_manifest(tmp_path / "t.jsonl")[0].video == tmp_path / "sub\\a.mp4"


def test_rows_of_images_are_passed_over_with_a_count(tmp_path):
    rows = [
        {"file_path": "a.mp4", "text": "x", "type": "video"},
        {"file_path": "b.jpg", "text": "y", "type": "image"},
    ]
    path, notes = write(tmp_path / "metadata.json", rows), []
    assert [row.video.name for row in read_manifest(path, notes)] == ["a.mp4"]
    assert "passed over: 1 rows of images" in notes


def test_names_match_in_either_unicode_form(tmp_path):
    nfc, nfd = (unicodedata.normalize(form, "café.mp4") for form in ("NFC", "NFD"))
    (tmp_path / nfd).write_bytes(b"")
    (tmp_path / nfc).with_suffix(".txt").write_text("a cup")
    (row,) = read_manifest(write(tmp_path / "t.csv", [{"video": nfc}]))
    assert (row.video, row.caption) == (tmp_path / nfd, "a cup")


def test_repeats_and_captions(tmp_path):
    rows = [{"video": "a.mp4", "caption": "x", "num_repeats": n} for n in ("", 2.5)]
    rows[1]["video"] = "b.mp4"
    path = write(tmp_path / "t.csv", rows)
    assert [row.repeats for row in read_manifest(path)] == [1, 2.5]
    rows[1]["num_repeats"] = 0
    with pytest.raises(
        InputError, match="line 3: num_repeats: '0' is not a number abo"
    ):
        read_manifest(write(path, rows))
    assert caption_text([], path) is None
    rows[1] = {"video": "b.mp4", "caption": "half \ud83d", "num_repeats": 1}
    with pytest.raises(InputError, match="line 2: caption: holds half of a character"):
        read_manifest(write(tmp_path / "t.jsonl", rows))


@pytest.mark.parametrize(
    ("name", "text"),
    [("t.json", '{"a": {"b": 1}}'), ("t.yaml", "a: 1"), ("t.toml", "x = 1")],
)
def test_unknown_descriptions_list_what_is_known(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match="musubi-tuner") as caught:
        open_clip_table(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
