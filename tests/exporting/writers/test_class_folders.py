import json
from pathlib import Path

from tqd_probe.clips.manifest import ManifestRow
from tqd_probe.exporting.writers.class_folders import (
    distinct_names,
    link_clips,
    write_rows,
)


def test_names_that_come_again_get_numbers(tmp_path):
    names = ("a/x.mp4", "b/x.mp4", "c/x.mov", "x-2.mp4")
    rows = [ManifestRow(video=Path(name), caption="c") for name in names]
    assert distinct_names(rows) == ["x.mp4", "x-2.mp4", "x-3.mov", "x-2-2.mp4"]


def test_videos_are_linked_and_captions_written(tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"video")
    row = ManifestRow(video=tmp_path / "x.mp4", caption="a dog, it runs")
    link_clips([row], tmp_path / "data" / "golden")
    folder = tmp_path / "data" / "golden"
    assert (folder / "x.mp4").is_symlink()
    assert (folder / "x.mp4").read_bytes() == b"video"
    assert (folder / "x.txt").read_text() == "a dog, it runs\n"


def test_rows_are_lines(tmp_path):
    write_rows(tmp_path / "new" / "rows.jsonl", [{"a": 1}, {"a": "é"}])
    lines = (tmp_path / "new" / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [{"a": 1}, {"a": "é"}]


def test_captions_are_json_where_a_trainer_wants_them(tmp_path):
    row = ManifestRow(video=tmp_path / "a.mp4", caption='a "cat", été')
    link_clips([row], tmp_path / "clips", as_json=True)
    text = (tmp_path / "clips" / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"caption": 'a "cat", été'}
    assert not (tmp_path / "clips" / "a.txt").exists()
