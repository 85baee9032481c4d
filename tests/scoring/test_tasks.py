import json

import pytest
from score_runs import run

from tqd_probe.core.errors import InputError
from tqd_probe.scoring.tasks import list_tasks


def test_tables_name_clips_captions_and_sources(videos, tmp_path):
    table = tmp_path / "clips.jsonl"
    rows = [
        {"path": "videos/c1.mp4", "caption": "one", "source": "web", "reward_MQ": "A"},
        {"path": "videos/c0.mp4", "caption": "two", "num_repeats": 3},
    ]
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run(table, tmp_path / "a.csv")
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines[0].endswith("class,caption,source,repeats")
    assert lines[1].startswith("videos/c1.mp4,")
    assert lines[1].endswith(",one,web,1.0")
    assert lines[2].endswith(",two,,3.0")
    table.write_text(json.dumps(rows[0]) + "\n" + json.dumps(rows[0]) + "\n")
    with pytest.raises(InputError, match="listed twice"):
        list_tasks(str(table))
    table.write_text('{"clip": "a"}\n')
    with pytest.raises(InputError, match="column 'video' is missing"):
        list_tasks(str(table))


def test_faults_of_the_source(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("video\na\0b.mp4\n")
    for source, text in (
        (str(table), "line 2: video: holds a NUL"),
        ("absent", "no such folder"),
        ("synthetic", "how many"),
        ("synthetic:x", "how many"),
        (str(tmp_path), "holds no videos"),
    ):
        with pytest.raises(InputError, match=text):
            list_tasks(source)
    # A fault of the source leaves nothing behind.
    with pytest.raises(InputError):
        run("absent", tmp_path / "a.csv")
    assert list(tmp_path.iterdir()) == [table]
    assert [task.video for task in list_tasks("synthetic:9", 2)] == [
        "synthetic:0",
        "synthetic:1",
    ]
