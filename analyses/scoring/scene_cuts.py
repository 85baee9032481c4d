"""Scene cuts: the shipped rule beside PySceneDetect, on cuts that are known.

Real clips without a cut (`real_videos.py`) are joined, the first half of one to the
second half of another: every join is a cut at a known frame, between videos or between
scenes of one. The same clips unjoined, and degraded (shaken, shuffled, noisy, read at
three times the speed), hold none. Share of joins found and of whole clips in which a
cut is seen. The rule was chosen among a few on these clips; the library's detectors
have their defaults, but for the shortest scene.

    pip install scenedetect-headless
    python -m analyses.scoring.scene_cuts --work /tmp/real
"""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import scenedetect
from scenedetect import AdaptiveDetector, ContentDetector
from tqdm import tqdm

from analyses.results_file import run_script, study_parser, write_results
from analyses.scoring.real_videos import real_clips
from tqd_probe.clips import motion_degradations as motion
from tqd_probe.clips import visual_degradations as visual
from tqd_probe.clips.frame_selection import crop_and_resize
from tqd_probe.clips.frame_stream import FrameStream
from tqd_probe.clips.video import write_video
from tqd_probe.core.rng import stream
from tqd_probe.scoring.motion import MotionMeter
from tqd_probe.scoring.scene_cuts import find_cuts

SIDE, FRAMES = 128, 48
EVERY, JOINS = 6, 30  # one clip in six; pairs of clips joined


def shipped(path: Path) -> list[int]:
    """Return cuts by the rule of the package."""
    meter = MotionMeter(flow=False)
    with FrameStream(path) as frames:
        for image in frames:
            meter.add_image(image, frames.times[-1])
    return find_cuts(meter.changes)


def library(detector: Any) -> Any:
    """Return a function that finds cuts with a detector of PySceneDetect."""

    def find(path: Path) -> list[int]:
        scenes = scenedetect.detect(str(path), detector())
        return [begin.frame_num for begin, _ in scenes[1:]]

    return find


METHODS = {
    "shipped rule": shipped,
    "ContentDetector": library(lambda: ContentDetector(min_scene_len=4)),
    "AdaptiveDetector": library(lambda: AdaptiveDetector(min_scene_len=4)),
}


def variants(video: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return versions of a clip that hold no cut."""
    return {
        "plain": video,
        "three times as fast": video[::3],
        "shaken": np.stack([np.roll(f, rng.integers(-6, 7, 2), (0, 1)) for f in video]),
        "noisy": visual.noise(video, 30, rng),
        "shuffled": motion.shuffle(video, 8, rng),
        "flicker": np.stack(
            [np.clip(f * rng.uniform(0.8, 1.2), 0, 255).astype(np.uint8) for f in video]
        ),
    }


def main() -> None:
    """Join, find, count."""
    parser = study_parser(__file__, __doc__)
    parser.add_argument("--work", type=Path, required=True, help="videos and clips")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    clips = []
    for name, _, clip in list(real_clips(args.work))[::EVERY]:
        with FrameStream(clip, limit=FRAMES) as frames:
            video = np.stack([crop_and_resize(f, SIDE, SIDE) for f in frames])
        clips.append((name, clip.stem, video))
    rng = stream(0, "scene-cuts")
    pairs = [
        (a, b)
        for a, b in itertools.permutations(range(len(clips)), 2)
        if abs(int(clips[a][1].split("-")[-2]) - int(clips[b][1].split("-")[-2])) > 100
        or clips[a][0] != clips[b][0]
    ]
    pairs = [pairs[i] for i in rng.permutation(len(pairs))[:JOINS]]
    joined: dict[str, list[bool]] = {name: [] for name in METHODS}
    extra = dict.fromkeys(METHODS, 0)
    alarms: dict[str, dict[str, list[bool]]] = {name: {} for name in METHODS}
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "clip.mp4"
        for a, b in tqdm(pairs, unit="join"):
            half = FRAMES // 2
            write_video(
                file, np.concatenate([clips[a][2][:half], clips[b][2][half:]]), 25
            )
            for name, find in METHODS.items():
                cuts = find(file)
                joined[name].append(half in cuts)
                extra[name] += len(set(cuts) - {half})
        for _, stem, video in tqdm(clips, unit="clip"):
            for kind, version in variants(video, stream(0, "variant", stem)).items():
                write_video(file, version, 25)
                for name, find in METHODS.items():
                    alarms[name].setdefault(kind, []).append(bool(find(file)))
    result = {
        "scenedetect": scenedetect.__version__,
        "joins": len(pairs),
        "clips": len(clips),
        "found": {name: round(float(np.mean(v)), 3) for name, v in joined.items()},
        "elsewhere_in_joins": extra,
        "false_alarms": {
            name: {kind: round(float(np.mean(v)), 3) for kind, v in kinds.items()}
            for name, kinds in alarms.items()
        },
    }
    for name in METHODS:
        print(name, result["found"][name], result["false_alarms"][name])
    write_results(parser, args, result)


if __name__ == "__main__":
    run_script(main)
