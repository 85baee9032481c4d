"""A scoring run of tests, and a video with one scene cut."""

import numpy as np

from tqd_probe.clips.video import write_video
from tqd_probe.scoring.run import score
from tqd_probe.scoring.settings import ScoreSettings


def two_scenes(path, first=24, second=20):
    """A dark moving pattern, then a bright one."""
    rng = np.random.default_rng(0)
    wall = rng.integers(0, 60, (48, 120, 3), np.uint8)
    wall = wall.repeat(2, 0).repeat(2, 1)[:48, :120]
    frames = [wall[:, n : n + 64] for n in range(first)]
    frames += [255 - wall[:, n : n + 64] for n in range(second)]
    write_video(path, np.stack(frames), 16)


def run(videos, out, **options):
    options = {"workers": 0, **options}
    return score(ScoreSettings(clips=str(videos), out=out, **options), quiet=True)
