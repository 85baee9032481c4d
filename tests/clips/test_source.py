import pytest

from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.source import open_clips
from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.clips.video import write_video
from tqd_probe.core.errors import InputError


@pytest.fixture
def folder(tmp_path):
    for name in ("b.mp4", "a.MOV", "c.webm", ".hidden.mp4"):
        (tmp_path / name).write_bytes(b"")
        caption = tmp_path / name.replace("mp4", "txt").replace("MOV", "txt")
        caption.with_suffix(".txt").write_text(f"  about {name[0]}\n in words \n")
    (tmp_path / "notes.md").write_text("not a clip")
    return tmp_path


def fault(source, limit, *parts):
    with pytest.raises(InputError) as error:
        open_clips(str(source), limit, 0)
    assert "\n" not in str(error.value)
    for part in parts:
        assert str(part) in str(error.value), str(error.value)


def test_synthetic_gives_the_first_clips_of_the_seed():
    whole = open_clips("synthetic:5", None, 3).golden
    expected = [synthetic_clip(i, 3).identity() for i in range(5)]
    assert [clip.identity() for clip in whole] == expected
    first = open_clips("synthetic:5", 2, 3).golden
    assert [clip.identity() for clip in first] == expected[:2]
    endless = open_clips("synthetic", 4, 3).golden
    assert [clip.identity() for clip in endless] == expected[:4]
    other = open_clips("synthetic", 4, 4).golden
    assert not {c.id for c in other} & {c.id for c in endless}


@pytest.mark.parametrize("text", ["", "0", "-3", "many", "2.5", "²"])
def test_synthetic_faults(text):
    fault(f"synthetic:{text}", None, f"synthetic:{text}", "synthetic:24")


def test_limits(folder):
    fault("synthetic:5", 6, "6 golden clips", "5 present", "--num-clips")
    fault("synthetic", None, "how many")
    fault("synthetic:5", 0, "at least 1")
    fault(folder, 4, "4 golden clips", "3 present")


def test_folder_is_sorted_and_captioned(folder):
    clips = open_clips(str(folder), None, 0)
    assert [clip.id for clip in clips.golden] == ["a", "b", "c"]
    captions = [clip.caption for clip in clips.golden]
    assert captions == ["about a in words", "about b in words", "about c in words"]
    assert clips.others == {}
    assert [clip.id for clip in open_clips(str(folder), 2, 0).golden] == ["a", "b"]


def test_folder_faults(folder, tmp_path):
    (folder / "b.txt").write_text(" \n")
    fault(folder, None, folder / "b.txt", "empty", "sentence")
    (folder / "b.txt").unlink()
    fault(folder, None, folder / "b.txt", "no such file", "sentence")
    (folder / "b.mov").write_bytes(b"")
    fault(folder, None, folder, "b.mov", "b.mp4", "rename")
    empty = tmp_path / "empty"
    empty.mkdir()
    fault(empty, None, empty, "no videos", ".mp4")
    fault(tmp_path / "absent", None, tmp_path / "absent", "synthetic:N", "manifest")
    fault("sinthetic:4", None, "sinthetic:4", "synthetic:N")


def test_manifest_splits_by_class(tmp_path):
    path = tmp_path / "clips.csv"
    path.write_text(
        "video,caption,class\n"
        "z.mp4,one,golden\nsub/z.mp4,two,\nv.mp4,three,visual_degraded\n"
        "m.mp4,four,motion_degraded\nw.mp4,five,visual_degraded\n/far/x.mp4,six,\n"
    )
    clips = open_clips(str(path), None, 0)
    assert [clip.id for clip in clips.golden] == ["z", "sub/z", "/far/x"]
    assert {kind: [c.id for c in some] for kind, some in clips.others.items()} == {
        "visual_degraded": ["v", "w"],
        "motion_degraded": ["m"],
    }
    some = open_clips(str(path), 1, 0)  # the limit is about golden clips
    assert [clip.id for clip in some.golden] == ["z"]
    assert len(some.others["visual_degraded"]) == 2
    fault(path, 4, path, "4 golden clips", "3 present")


def test_manifest_names_must_differ(tmp_path):
    path = tmp_path / "clips.jsonl"
    path.write_text(
        '{"video": "a.mp4", "caption": "x"}\n{"video": "a.mov", "caption": "y"}\n'
    )
    fault(path, None, path, "a.mp4", "a.mov", "rename")


def test_clips_of_a_folder_can_be_read(tmp_path):
    shape = ClipShape(frames=5, height=32, width=32, fps=16)
    write_video(tmp_path / "a.mp4", synthetic_clip(0).read(shape), 16)
    (tmp_path / "a.txt").write_text("a scene")
    (clip,) = open_clips(str(tmp_path), None, 0).golden
    assert clip.read(shape).shape == (5, 32, 32, 3)
    assert len(clip.identity()) == 64
