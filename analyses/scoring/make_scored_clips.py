"""Cut real clips with captions and sources into a folder that can be scored.

The videos come from PyPI (`real_videos.py`).

    python -m analyses.scoring.make_scored_clips --work /tmp/real
    python -m tqd_probe.score --clips /tmp/real/clips.csv --out /tmp/real/scores.csv
    python -m analyses.scoring.dilemma /tmp/real/scores.csv --name real
"""

from __future__ import annotations

import csv
from pathlib import Path

import cv2

from analyses.results_file import run_script, script_parser
from analyses.scoring.real_videos import real_clips


def main() -> None:
    """Cut the clips and write their manifest."""
    parser = script_parser(__file__, __doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder to write to")
    work = parser.parse_args().work
    cv2.setNumThreads(1)
    count = 0
    work.mkdir(parents=True, exist_ok=True)
    with open(work / "clips.csv", "w", newline="", encoding="utf-8") as handle:
        table = csv.writer(handle, lineterminator="\n")
        table.writerow(("video", "caption", "source"))
        for name, source, clip in real_clips(work):
            table.writerow((clip.relative_to(work), f"a clip of {name}", source))
            count += 1
    print(f"{count} clips listed in {work / 'clips.csv'}")


if __name__ == "__main__":
    run_script(main)
