"""What becomes of damaged videos: mutated files through `score` and a probe's reading.

Small files of a real video are written in many containers and codecs. Copies of them
are damaged by a seeded generator: bytes changed anywhere or in the headers, a part cut
off, overwritten with zeros, removed or repeated. Then

1. each is read in a process that is watched: by the function that scores a clip, and as
   a probe reads one. Counted: scored or read, refused by name, exceptions that are no
   refusal, processes that died, and readings longer than ``--seconds``;
2. all are scored by one run of the command line; every file must be in its table or its
   list of clips left out.

    python -m analyses.scoring.mutated_videos --work /tmp/mutated --count 2000
"""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
import time
import traceback
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from fractions import Fraction
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from analyses.results_file import run_script, study_parser, write_results
from analyses.scoring.real_videos import fetch, frames_of, square
from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.video import VideoClip
from tqd_probe.core.errors import BadClip, InputError
from tqd_probe.scoring.clip_scores import ReadOptions, score_clip
from tqd_probe.scoring.tasks import Task

FRAMES, SIDE, RATE = 20, 64, 25
READ = ClipShape(9, 32, 32, 16)
HEADER = 2048  # bytes at either end in which headers lie
TEN_BITS = {"pixels": "yuv420p10le", "colours": (9, 9, 16)}


@dataclass(frozen=True)
class Form:
    """How an undamaged file is written."""

    suffix: str
    codec: str
    container: str | None = None
    pixels: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)
    muxer: dict[str, str] = field(default_factory=dict)
    colours: tuple[int, int, int] | None = None
    sound: bool = False
    degrees: int = 0


QUIET = {"x265-params": "log-level=none"}
FORMS = {
    "mp4-h264": Form(".mp4", "libx264", options={"bf": "2"}),
    "mp4-h264-index-first": Form(".mp4", "libx264", muxer={"movflags": "faststart"}),
    "mp4-h264-fragments": Form(
        ".mp4", "libx264", muxer={"movflags": "frag_keyframe+empty_moov"}
    ),
    "mp4-h264-sound-turned": Form(".mp4", "libx264", sound=True, degrees=90),
    "mp4-hevc-hdr": Form(".mp4", "libx265", options=QUIET, **TEN_BITS),
    "mov-prores": Form(".mov", "prores_ks", pixels="yuv422p10le"),
    "mov-mjpeg": Form(".mov", "mjpeg", pixels="yuvj420p"),
    "mkv-h264": Form(".mkv", "libx264", "matroska"),
    "mkv-ffv1": Form(".mkv", "ffv1", "matroska"),
    "webm-vp8-live": Form(".webm", "libvpx", muxer={"live": "1"}),
    "webm-vp9": Form(".webm", "libvpx-vp9", options={"cpu-used": "8"}),
    "avi-mpeg4": Form(".avi", "mpeg4"),
    "avi-h264": Form(".avi", "libx264", options={"bf": "2"}),
    "ts-h264": Form(".ts", "libx264", "mpegts"),
    "ts-mpeg2": Form(".ts", "mpeg2video", "mpegts"),
    "mpg-mpeg1": Form(".mpg", "mpeg1video", "mpeg"),
    "flv-h264": Form(".flv", "libx264"),
    "3gp-mpeg4": Form(".3gp", "mpeg4"),
    "wmv": Form(".wmv", "wmv2", "asf"),
    "gif": Form(".gif", "gif", pixels="rgb8"),
}


def write_original(path: Path, form: Form, frames: np.ndarray) -> None:
    """Write an undamaged file."""
    with av.open(str(path), "w", format=form.container, options=form.muxer) as output:
        stream = output.add_stream(
            form.codec, rate=RATE, options={"g": "10", **form.options}
        )
        stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, form.pixels
        context = stream.codec_context
        context.thread_count = 1
        if form.colours:
            context.colorspace, context.color_primaries, context.color_trc = (
                form.colours
            )
        if form.degrees:
            stream.set_display_rotation(form.degrees)
        sound = output.add_stream("aac", rate=16000) if form.sound else None
        for number, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame = frame.reformat(format=form.pixels, threads=1)
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
        if sound is not None:
            silence = np.zeros((1, 1024), np.float32)
            samples = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
            samples.rate = 16000
            output.mux(sound.encode(samples))
            output.mux(sound.encode())


def mutate(data: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """Return a kind of damage and the damaged bytes."""
    changed = bytearray(data)
    size = len(data)
    kind = str(
        rng.choice(["bytes", "bits", "headers", "cut", "zeros", "removed", "repeated"])
    )
    begin = int(rng.integers(0, size))
    length = int(rng.integers(1, max(2, size // 8)))
    if kind == "cut":
        return kind, data[:begin]
    if kind == "zeros":
        changed[begin : begin + length] = bytes(len(changed[begin : begin + length]))
    elif kind == "removed":
        del changed[begin : begin + length]
    elif kind == "repeated":
        changed[begin:begin] = changed[begin : begin + length]
    else:
        places = rng.integers(0, size, int(2 ** rng.uniform(0, 8)))
        if kind == "headers":
            near = rng.integers(0, min(HEADER, size), int(2 ** rng.uniform(0, 5)))
            places = near if rng.random() < 0.5 else size - 1 - near
        for place in places:
            value = int(rng.integers(1, 256))
            changed[place] ^= 1 << value % 8 if kind == "bits" else value
    return kind, bytes(changed)


def write_mutated(work: Path, count: int, seed: int) -> dict[str, tuple[str, str]]:
    """Write damaged files to ``work/files``; return form and damage by name."""
    video = fetch(work / "videos")["carphone_pristine"]
    frames = np.stack(
        [cv2.resize(square(f, 0.5), (SIDE, SIDE)) for f in frames_of(video)][:FRAMES]
    )
    originals, files = work / "originals", work / "files"
    shutil.rmtree(files, ignore_errors=True)
    originals.mkdir(parents=True, exist_ok=True)
    files.mkdir()
    for name, form in FORMS.items():
        write_original(originals / f"{name}{form.suffix}", form, frames)
    rng = np.random.default_rng(seed)
    about = {}
    for number in range(count):
        name = list(FORMS)[number % len(FORMS)]
        suffix = FORMS[name].suffix
        kind, data = mutate((originals / f"{name}{suffix}").read_bytes(), rng)
        file = f"{number:05d}-{name}-{kind}{suffix}"
        (files / file).write_bytes(data)
        about[file] = name, kind
    return about


def read_both_ways(path: Path) -> dict[str, str]:
    """Score a file and read it as a probe does; return how each ended."""
    ended = {}
    scored = score_clip(Task(str(path)), ReadOptions())
    ended["score"] = scored.get("bad", "")
    try:
        VideoClip("clip", "", path).read(READ)
        ended["probe"] = ""
    except BadClip as error:
        ended["probe"] = str(error)
    for text in ended.values():
        if text and (str(path) not in text or "\n" in text):
            raise AssertionError(f"not one line with the file's name: {text}")
    return ended


def serve(pipe: Connection) -> None:
    """Read the files that are named, in a process of its own."""
    cv2.setNumThreads(1)
    while True:
        path = pipe.recv()
        try:
            pipe.send(read_both_ways(path))
        except Exception:
            pipe.send({"exception": traceback.format_exc()})


class Watched:
    """A process that reads files, started anew when one kills it or takes too long."""

    def __init__(self, seconds: float) -> None:
        """Start the process.

        Args:
            seconds: A longer reading is a hang.
        """
        self._seconds = seconds
        self._start()

    def _start(self) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def read(self, path: Path) -> dict[str, str]:
        """Return how reading a file ended."""
        self._pipe.send(path)
        try:
            if self._pipe.poll(self._seconds):
                return dict(self._pipe.recv())
            ended = {"hang": f"longer than {self._seconds:g} s"}
        except EOFError:
            ended = {"died": "the process was killed"}
        self.close()
        self._start()
        return ended

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()


def one_by_one(
    folder: Path, about: dict[str, tuple[str, str]], seconds: float
) -> dict[str, Any]:
    """Read every file in the watched process; count how each reading ended."""
    counts: dict[str, Counter[str]] = {"score": Counter(), "probe": Counter()}
    by_damage: dict[str, Counter[str]] = defaultdict(Counter)
    by_form: dict[str, Counter[str]] = defaultdict(Counter)
    faults: dict[str, dict[str, str]] = {}
    slowest = 0.0
    watched = Watched(seconds)
    watched.read(folder / "warm")  # imports do not count
    for file, (form, damage) in about.items():
        begin = time.monotonic()
        ended = watched.read(folder / file)
        slowest = max(slowest, time.monotonic() - begin)
        if ended.keys() != counts.keys():
            faults[file] = ended
            continue
        for way, text in ended.items():
            counts[way]["refused by name" if text else "read"] += 1
        outcome = "left out" if ended["score"] else "scored"
        by_damage[damage][outcome] += 1
        by_form[form][outcome] += 1
    watched.close()
    return {
        "files": len(about),
        "score": dict(counts["score"]),
        "probe": dict(counts["probe"]),
        "exceptions": sum("exception" in fault for fault in faults.values()),
        "processes_that_died": sum("died" in fault for fault in faults.values()),
        "hangs": sum("hang" in fault for fault in faults.values()),
        "slowest_file_seconds": round(slowest, 2),
        "score_by_damage": {name: dict(by_damage[name]) for name in sorted(by_damage)},
        "score_by_form": {name: dict(by_form[name]) for name in FORMS},
        "faults": faults,
    }


def one_run(work: Path, names: set[str], limit: float) -> dict[str, Any]:
    """Score all files with the command line; every one must be accounted for."""
    out = work / "scores.csv"
    command = [sys.executable, "-m", "tqd_probe.score", "--clips", str(work / "files")]
    for old in work.glob("scores.*"):
        old.unlink()
    done = subprocess.run(
        [*command, "--out", str(out), "--workers", "2"],
        capture_output=True,
        text=True,
        timeout=limit,
        check=False,
    )
    scored, left_out = (
        {Path(row["video"]).name for row in _rows(path)}
        for path in (out, out.with_suffix(".quarantine.csv"))
    )
    return {
        "exit_code": done.returncode,
        "traceback": "Traceback" in done.stdout + done.stderr,
        "scored": len(scored),
        "left_out_by_name": len(left_out),
        "in_neither": sorted(names - scored - left_out),
        "in_both": sorted(scored & left_out),
    }


def _rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table."""
    with open(path, encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def main() -> None:
    """Write the files, read them, and check."""
    parser = study_parser(__file__, __doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for the files")
    parser.add_argument("--count", type=int, default=2000, help="damaged files")
    parser.add_argument("--seed", type=int, default=0, help="of the damage")
    parser.add_argument(
        "--seconds", type=float, default=30, help="a longer reading is a hang"
    )
    args = parser.parse_args()
    about = write_mutated(args.work, args.count, args.seed)
    found: dict[str, Any] = {
        "pyav": av.__version__,
        "one_by_one": one_by_one(args.work / "files", about, args.seconds),
        "one_run": one_run(args.work, set(about), args.seconds * args.count),
    }
    print(found)
    write_results(parser, args, found)
    single, run = found["one_by_one"], found["one_run"]
    if single["faults"] or run["traceback"] or run["exit_code"] or run["in_neither"]:
        raise InputError(f"{args.results}: damaged files end a run; see 'faults'")


if __name__ == "__main__":
    run_script(main)
