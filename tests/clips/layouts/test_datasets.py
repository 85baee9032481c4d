from pathlib import Path

import pytest

from tqd_probe.clips.layouts.datasets import (
    Layout,
    read_repeats,
    resolve_folder,
    videos_of,
)
from tqd_probe.core.errors import InputError


def test_a_clip_of_several_datasets_is_one_clip_with_more_repeats():
    layout = Layout("x")
    layout.add("one", Path("a.mp4"), "a", 2)
    layout.add("two", Path("a.mp4"), "b", 3)
    ((place, cells),) = layout.rows
    assert (place, cells["caption"], cells["repeats"]) == ("one", "a", 5)
    assert cells["video"] == Path.cwd() / "a.mp4"


def test_faults_name_the_entry(tmp_path):
    path = tmp_path / "d.toml"
    with pytest.raises(InputError, match=r"d.toml: here: absent: no such folder"):
        resolve_folder(path, "here", "absent")
    with pytest.raises(InputError, match=r"d.toml: here: is 3; give a folder"):
        resolve_folder(path, "here", 3)
    for wrong in (0, -1, "2", True, float("nan")):
        with pytest.raises(InputError, match="give a number above 0"):
            read_repeats(path, "here", wrong)
    (tmp_path / "empty").mkdir()
    layout = Layout("x")
    folder = resolve_folder(path, "here", "empty")  # beside the description
    assert videos_of(path, "here", folder, layout) == []
    assert layout.notes == [f"here: {folder} holds no videos, passed over"]
