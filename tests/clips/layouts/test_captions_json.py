import json

import pytest

from tqd_probe.clips.layouts.captions_json import is_captions, read_captions
from tqd_probe.clips.manifest import read_manifest
from tqd_probe.core.errors import InputError

CAPTIONS = {
    "a.mp4": ["a cat", "another"],
    "sub/b.mov": "a dog",
    "c.mkv": {"caption": "a bird", "fps": 24},
    "d.jpg": "a picture",
}


def test_captions_by_file_name(tmp_path):
    path = tmp_path / "captions.json"
    path.write_text(json.dumps(CAPTIONS))
    notes = []
    found = {row.video: row.caption for row in read_manifest(path, notes)}
    assert found == {
        tmp_path / "a.mp4": "a cat",
        tmp_path / "sub" / "b.mov": "a dog",
        tmp_path / "c.mkv": "a bird",
    }
    assert notes == [
        "passed over: 1 entries that are no videos",
        "1 clips have several captions; the first counts",
    ]
    assert read_captions(path)["d.jpg"] == "a picture"


@pytest.mark.parametrize("value", [{}, [], {"a": "b"}, {"a.mp4": 3}, {"a.mp4": []}])
def test_other_objects_are_not_captions(tmp_path, value):
    assert not is_captions(value)
    (tmp_path / "c.json").write_text(json.dumps(value))
    with pytest.raises(InputError, match="is not an object of captions"):
        read_captions(tmp_path / "c.json")
