"""What scoring costs beside decoding, and whether its memory stays flat.

1. Per core: real clips (those of `make_scored_clips.py`) are decoded, and decoded and
   scored, in one process with one thread each, alternating; the ratio is the result,
   clips per second are of the machine it ran on.
2. Memory: the score command's function over many clips (copies of a small one under
   names of their own), with the resident memory of it and its two workers sampled.

    python -m analyses.scoring.throughput --clips /tmp/real/clips --many 10000
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np

from analyses.results_file import run_script, study_parser, write_results
from tqd_probe.clips.frame_stream import FrameStream
from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.clips.video import write_video
from tqd_probe.scoring.clip_scores import ReadOptions, score_clip
from tqd_probe.scoring.run import score
from tqd_probe.scoring.settings import ScoreSettings
from tqd_probe.scoring.tasks import Task

SMALL = ClipShape(4, 32, 32, 16)


def cost(folder: Path, limit: int) -> dict[str, Any]:
    """Compare decoding with decoding and scoring, in CPU seconds per clip."""
    cv2.setNumThreads(1)
    reading = ReadOptions(cuts="keep")
    spent: dict[str, list[float]] = {"decode": [], "score": []}
    frames = 0
    for path in sorted(folder.glob("*.mp4"))[:limit]:
        begin = time.process_time()
        with FrameStream(path, reading.fps, reading.frames) as stream:
            frames += sum(1 for _ in stream)
        middle = time.process_time()
        score_clip(Task(str(path)), reading)
        spent["decode"].append(middle - begin)
        spent["score"].append(time.process_time() - middle)
    decode, both = (float(np.mean(spent[name])) for name in ("decode", "score"))
    return {
        "clips": len(spent["decode"]),
        "frames_per_clip": round(frames / len(spent["decode"]), 1),
        "decode_seconds_per_clip": round(decode, 4),
        "score_seconds_per_clip": round(both, 4),
        "score_over_decode": round(both / decode, 2),
        "clips_per_second_per_core": round(1 / both, 2),
    }


def family() -> list[int]:
    """Return this process and those it started, by number."""
    tasks = Path("/proc/self/task").glob("*/children")
    return [
        os.getpid(),
        *(int(pid) for task in tasks for pid in task.read_text().split()),
    ]


def resident(pid: int) -> int:
    """Return the resident memory of a process in bytes, 0 when it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def memory(many: int) -> dict[str, Any]:
    """Sample resident memory over a long run."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "clips"
        first = folder / "first.mp4"
        write_video(first, synthetic_clip(0, 0).read(SMALL), 16)
        for number in range(many - 1):
            os.link(first, folder / f"c{number:06d}.mp4")
        journal = Path(place) / "s.journal.jsonl"
        samples: list[tuple[int, float]] = []
        done = threading.Event()

        def sample() -> None:
            while not done.wait(1):
                if journal.exists():
                    with open(journal, "rb") as handle:
                        scored = sum(1 for _ in handle) - 1
                    samples.append((scored, sum(map(resident, family())) / 2**20))

        watch = threading.Thread(target=sample)
        watch.start()
        settings = ScoreSettings(
            clips=str(folder), out=Path(place) / "s.csv", workers=2
        )
        score(settings)
        done.set()
        watch.join()
    at = {
        share: min(samples, key=lambda s, share=share: abs(s[0] - share * many))
        for share in (0.1, 0.25, 0.5, 0.75, 1.0)
    }
    return {
        "clips": many,
        "resident_mib": {str(found[0]): round(found[1], 1) for found in at.values()},
        "growth_mib_from_a_tenth": round(at[1.0][1] - at[0.1][1], 1),
    }


def main() -> None:
    """Measure and write."""
    parser = study_parser(__file__, __doc__)
    parser.add_argument("--clips", type=Path, required=True, help="folder of mp4 files")
    parser.add_argument("--limit", type=int, default=40, help="of them, for the cost")
    parser.add_argument("--many", type=int, default=10_000, help="clips for the memory")
    args = parser.parse_args()
    found = {
        "cost": cost(args.clips, args.limit),
        "memory": memory(args.many),
    }
    print(found["cost"], found["memory"], sep="\n")
    write_results(parser, args, found)


if __name__ == "__main__":
    run_script(main)
