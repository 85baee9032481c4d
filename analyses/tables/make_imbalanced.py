"""Write an imbalanced set: few golden clips, many that are bad in one way.

Real mp4 files and a manifest with class, mq and vq. A degraded clip's low score falls
with its severity (2 to 5, or from `--least-severity`), the other score stays high; they
stand in for what `tqd_probe.score` measures.

    python -m analyses.tables.make_imbalanced --out /tmp/imbalanced
"""

from __future__ import annotations

import csv
from pathlib import Path

from tqdm import tqdm

from analyses.results_file import run_script, script_parser
from tqd_probe.clips.degradations import Degradation
from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.clips.video import write_video
from tqd_probe.core.files import staged
from tqd_probe.core.rng import stream

SHAPE = ClipShape(frames=17, height=64, width=64, fps=16)
KINDS = {
    "visual_degraded": ("blur", "noise", "downscale"),
    "motion_degraded": ("freeze",),
}


def write_set(
    out: Path, counts: dict[str, int], seed: int = 500, least_severity: int = 2
) -> Path:
    """Write the videos and the manifest.

    Args:
        out: Folder.
        counts: Clips of each class, in this order.
        seed: Seed of the clips.
        least_severity: Degraded clips have severities from this one to 5.

    Returns:
        The manifest.
    """
    wanted = [name for name, count in counts.items() for _ in range(count)]
    rows = [["video", "caption", "mq", "vq", "class", "source"]]
    out.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(tqdm(wanted, unit="clip")):
        rng = stream(seed, "imbalanced", index)
        clip = synthetic_clip(index, seed)
        high = round(float(rng.uniform(0.75, 0.95)), 3)
        mq = vq = high
        if name == "golden":
            video, what = clip.read(SHAPE), "golden"
        else:
            severity = int(rng.integers(least_severity, 6))
            degradation = Degradation(str(rng.choice(KINDS[name])), severity)
            video, what = degradation.apply(clip, SHAPE, seed), str(degradation)
            low = round(high - 0.15 * severity, 3)
            mq, vq = (high, low) if name == "visual_degraded" else (low, high)
        file = f"{name}-{index:04d}.mp4"
        write_video(out / file, video, SHAPE.fps)
        rows.append([file, clip.caption, str(mq), str(vq), name, what])
    with (
        staged(out / "clips.csv") as part,
        open(part, "w", newline="", encoding="utf-8") as handle,
    ):
        csv.writer(handle).writerows(rows)
    return out / "clips.csv"


def main() -> None:
    """Write the set and print its manifest."""
    parser = script_parser(__file__, __doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--golden", type=int, default=16)
    parser.add_argument("--visual", type=int, default=48)
    parser.add_argument("--motion", type=int, default=48)
    parser.add_argument("--seed", type=int, default=500)
    parser.add_argument("--least-severity", type=int, default=2, choices=range(1, 6))
    args = parser.parse_args()
    counts = {"golden": args.golden, "visual_degraded": args.visual}
    counts |= {"motion_degraded": args.motion}
    print(write_set(args.out, counts, args.seed, args.least_severity))


if __name__ == "__main__":
    run_script(main)
