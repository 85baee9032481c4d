"""Options of scoring that are not read are refused, not ignored."""

import os

import pytest
from pydantic import ValidationError

from tqd_probe.scoring.settings import ScoreSettings

CLIPS = {"clips": "folder", "out": "o.csv"}
TABLE = {"from": "scores.csv", "out": "o.csv"}
MODEL = {**CLIPS, "scorer": "videoalign", "weights": "w"}


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ({"out": "o.csv"}, "give either --clips"),
        ({**CLIPS, **TABLE}, "give either --clips"),
        ({**CLIPS, "scorer": "videoalign"}, "--scorer videoalign needs --weights"),
        *(
            ({**CLIPS, name: value}, f"--{name.replace('_', '-')} belongs to --from")
            for name, value in {
                "video_column": "a",
                "mq_column": "a",
                "vq_column": "a",
                "scale": "raw",
                "videos": "v",
            }.items()
        ),
        *(
            ({**TABLE, name: value}, f"--{name.replace('_', '-')} belongs to --clips")
            for name, value in {
                "scorer": "proxies",
                "num_clips": 3,
                "overwrite": True,
                "fps": 8,
                "frames": 9,
                "cuts": "keep",
                "workers": 2,
                "engine": "local",
                "seed": 1,
                "device": "cpu",
                "batch_size": 2,
            }.items()
        ),
        *(
            ({**CLIPS, name: value}, "belongs to --scorer videoalign")
            for name, value in {
                "weights": "w",
                "device": "cpu",
                "batch_size": 2,
            }.items()
        ),
        *(
            ({**MODEL, name: value}, "belongs to --scorer proxies")
            for name, value in {"fps": 8, "cuts": "split", "seed": 1}.items()
        ),
        ({**CLIPS, "shard_size": 8}, "--shard-size belongs to --engine ray"),
        ({**CLIPS, "ray_address": "auto"}, "--ray-address belongs to --engine ray"),
        ({**CLIPS, "min_scene": 2}, "--min-scene belongs to --cuts split"),
        (
            {**CLIPS, "engine": "ray", "ray_address": "auto", "workers": 2},
            "--workers belongs to a machine",
        ),
        ({**CLIPS, "mq_min": "7"}, "q0.7"),
        ({**CLIPS, "vq_min": "high"}, "q0.7"),
    ],
)
def test_options_that_are_not_read_are_refused(values, shown):
    with pytest.raises(ValidationError, match=shown.replace(".", "[.]")):
        ScoreSettings(**values)


def test_workers_are_the_cores_by_default():
    assert ScoreSettings(**CLIPS).worker_count() == len(os.sched_getaffinity(0))
    assert ScoreSettings(**CLIPS, workers=3).worker_count() == 3
    assert ScoreSettings(**CLIPS, workers=0).worker_count() == 0
    with pytest.raises(ValidationError, match="Ray needs at least 1"):
        ScoreSettings(**CLIPS, workers=0, engine="ray")


def test_scenes_go_beside_the_table():
    made = ScoreSettings(clips="v", out="there/o.csv", cuts="split", min_scene=0.5)
    read = made.reading()
    assert (read.scenes, read.cuts, read.min_scene) == ("there/o_scenes", "split", 0.5)
    assert (read.fps, read.frames, read.seed) == (16.0, 81, 0)
