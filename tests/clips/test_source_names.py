import pytest

from tqd_probe.clips.source import open_clips
from tqd_probe.clips.source_names import is_synthetic
from tqd_probe.core.errors import InputError
from tqd_probe.scoring.tasks import list_tasks


def test_a_name_that_is_a_folder_too_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_synthetic("synthetic")
    assert is_synthetic("synthetic:4")
    assert not is_synthetic("synthetic_clips")
    (tmp_path / "synthetic").mkdir()
    (tmp_path / "synthetic" / "a.mp4").write_bytes(b"")
    (tmp_path / "synthetic" / "a.txt").write_text("a cat")
    for read in (lambda source: open_clips(source, None, 0), list_tasks):
        with pytest.raises(
            InputError, match=r"write \./synthetic for that, synthetic:N"
        ):
            read("synthetic")
    assert [clip.id for clip in open_clips("./synthetic", None, 0).golden] == ["a"]
    assert len(list_tasks("./synthetic")) == 1
    assert len(open_clips("synthetic:2", None, 0).golden) == 2
