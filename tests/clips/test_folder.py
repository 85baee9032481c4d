import json

import pytest

from tqd_probe.clips.folder import notes_of_folder, table_of_folder, videos_below
from tqd_probe.clips.source import open_clips
from tqd_probe.core.errors import InputError
from tqd_probe.scoring.tasks import list_tasks


def touch(folder, *names, caption=True):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        if caption:
            path.with_suffix(".txt").write_text("a cat")


def test_what_is_passed_over_is_said_with_counts(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4", "sub/c.mp4", "sub/deep/d.mov")
    touch(tmp_path, "e.y4m", "f.webp", "g.jpg", ".h.mp4", "notes.md", caption=False)
    (tmp_path / "lost.txt").write_text("a caption alone")
    notes = open_clips(str(tmp_path), None, 0).notes
    assert notes[0] == f"2 clips of {tmp_path} are taken as golden"
    assert notes[1] == (
        f"passed over in {tmp_path}: 2 videos in sub-folders (sub/c.mp4,"
        " sub/deep/d.mov); 2 files of other formats (e.y4m, f.webp); 1 images (g.jpg);"
        " 1 hidden videos (.h.mp4); 1 captions without a video (lost.txt)"
    )
    assert len(notes) == 2
    found = []
    assert len(list_tasks(str(tmp_path), None, found)) == 2
    assert found == notes[1:]
    assert notes_of_folder(tmp_path / "sub" / "deep", videos_below(tmp_path)) == []


def test_a_folder_of_folders_is_refused_and_names_them(tmp_path):
    touch(tmp_path, "one/a.mp4", "two/b.mp4", "two/c.mp4")
    for read in (lambda source: open_clips(source, None, 0), list_tasks):
        with pytest.raises(
            InputError, match=r"sub-folders do: .*one \(1\), .*two \(2\)"
        ):
            read(str(tmp_path))


def write_scores(folder, name, rows):
    (folder / f"{name}.csv").write_text("video,mq,vq,class\n" + "\n".join(rows) + "\n")
    summary = {"format": "tqd-scores"}
    (folder / f"{name}.summary.json").write_text(json.dumps(summary))


def test_the_score_table_of_a_folder_is_used_and_said(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    rows = ["a.mp4,0.9,0.9,golden", "b.mp4,0.1,0.9,motion_degraded"]
    write_scores(tmp_path, "scores", rows)
    clips = open_clips(str(tmp_path), None, 0)
    assert [clip.id for clip in clips.golden] == ["a"]
    assert [clip.id for clip in clips.others["motion_degraded"]] == ["b"]
    assert clips.notes[0] == f"{tmp_path}: clips are those of scores.csv in it"
    assert "1 videos that the table does not name (c.mp4)" in clips.notes[1]
    assert len(list_tasks(str(tmp_path))) == 3  # scored again, all of them
    write_scores(tmp_path, "other", rows)
    with pytest.raises(InputError, match=r"several score tables \(other.csv, scores"):
        open_clips(str(tmp_path), None, 0)


def test_a_table_that_names_no_videos_is_passed_over(tmp_path):
    touch(tmp_path, "a.mp4")
    (tmp_path / "metadata.json").write_text('{"made": "by hand"}')
    (tmp_path / "metadata.csv").write_text("camera,place\nx,y\n")
    notes = []
    assert table_of_folder(tmp_path, notes=notes) is None
    assert notes[0] == f"passed over: {tmp_path}/metadata.csv names no videos"
    assert notes[1].startswith(f"passed over: {tmp_path}/metadata.json: is not a list")
    assert [c.caption for c in open_clips(str(tmp_path), None, 0).golden] == ["a cat"]
