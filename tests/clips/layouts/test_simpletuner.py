import json

import pytest

from tqd_probe.clips.manifest import read_manifest
from tqd_probe.core.errors import InputError
from tqd_probe.scoring.tasks import list_tasks

TEXT = {"id": "text", "type": "local", "dataset_type": "text_embeds", "default": True}


def backend(folder, **more):
    entry = {"id": "clips", "type": "local", "dataset_type": "video", "crop": False}
    return {**entry, "instance_data_dir": str(folder), **more}


def described(folder, *entries):
    path = folder / "multidatabackend.json"
    path.write_text(json.dumps([TEXT, *entries]))
    notes = []
    rows = read_manifest(path, notes)
    assert len(list_tasks(str(path))) == len(rows)
    return {row.video.name: (row.caption, row.repeats) for row in rows}, notes


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a_cat.mp4").write_bytes(b"")
    (tmp_path / "a_cat.txt").write_text("the first\nthe second\n")
    return tmp_path


def test_backends_of_videos(folder):
    entries = [backend(folder, repeats=3, probability=0.5), backend(folder, id="x")]
    entries[1] |= {"disabled": True}
    image = backend(folder, id="stills", dataset_type="image")
    found, notes = described(folder, *entries, image)
    assert found == {"a_cat.mp4": ("the first", 2.0)}  # (1 + repeats) x probability
    assert notes == [
        "backend 'text': of text_embeds, not of video, passed over",
        "backend 'x': disabled, passed over",
        "backend 'stills': of image, not of video, passed over",
        "read as SimpleTuner's; not used: crop",
    ]


def test_captions_by_strategy(folder):
    found, _ = described(folder, backend(folder, caption_strategy="filename"))
    assert found == {"a_cat.mp4": ("a cat", 1)}
    prompt = {"caption_strategy": "instanceprompt", "instance_prompt": "sks"}
    assert described(folder, backend(folder, **prompt))[0] == {"a_cat.mp4": ("sks", 1)}


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"caption_strategy": "parquet"}, "'parquet' is not read; known: textfile"),
        ({"repeats": -1}, "repeats: is -1; give 0 or more"),
        ({"probability": 0}, "probability: is 0; give a number above 0"),
        (
            {"instance_data_dir": "/absent"},
            "instance_data_dir: /absent: no such folder",
        ),
        ({"disabled": True}, "'clips': disabled, passed over; add a backend of videos"),
        ({"type": "aws"}, "its data are not local (aws)"),
    ],
)
def test_faults(folder, more, reason):
    with pytest.raises(InputError) as caught:
        described(folder, backend(folder, **more))
    assert reason in str(caught.value)
