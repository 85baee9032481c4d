"""Do bands move as a model learns? Probes of the training checkpoints of `tiny`.

`train.py` writes `step-NNNNN.pt` (transformer and text encoder) into its working
folder every 500 steps. Each is put into a copy of the shipped pipeline and probed with
the same clips and noise, so that what the clips have in common cancels in a change of
the cosine between two of them. A checkpoint's maturity is its golden signal-to-noise
per level, beside the golden loss.

    python -m analyses.tiny.train --work WORK --stage transformer --steps 4000 --out OUT
    python -m analyses.tiny.maturity --trained WORK --work DIR
    python -m figures.maturity

The step files of `train_cogvideox.py` go with `--ckpt` and the pipeline it wrote.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np

from analyses.cosine_kernels import cosine_kernel, kernel_interval
from analyses.finished_probe import FinishedProbe
from analyses.results_file import run_script, study_parser, write_results
from analyses.tiny.step_files import pipeline_at_step
from tqd_probe.gradients.gram import LevelGram
from tqd_probe.probing.run import run_probe
from tqd_probe.probing.settings import ProbeRunSettings

CONFIDENCE = 0.95


def change(
    before: LevelGram, after: LevelGram, condition: int, confidence: float
) -> dict[str, Any] | None:
    """Compare a cosine at two checkpoints, on the same clips and noise.

    Args:
        before: Matrices of one checkpoint at one level.
        after: Those of the other.
        condition: The degradation.
        confidence: Of the interval.

    Returns:
        The change and its interval, in which what the clips have in common cancels;
        None where a cosine is undefined.
    """
    found = cosine_kernel(before, condition), cosine_kernel(after, condition)
    if found[0] is None or found[1] is None:
        return None
    (first, one), (second, two) = found
    gap = second - first
    return {"change": gap, "ci": [*kernel_interval(gap, two - one, confidence)]}


def changes(
    grams: list[list[LevelGram]], known: list[list[bool]], steps: list[int], names: Any
) -> list[dict[str, Any]]:
    """Compare every checkpoint with the next, and the first with the last.

    Args:
        grams: Matrices per checkpoint and level.
        known: Whether the golden gradient is resolved, per checkpoint and level.
        steps: Training steps of the checkpoints.
        names: Degradations in the order of the conditions.

    Returns:
        One row per pair, level and degradation that both checkpoints resolve, with the
        95 % interval of the change and whether it, and one that holds for all rows
        together, excludes 0.
    """
    count = len(steps)
    pairs = [*itertools.pairwise(range(count)), (0, count - 1)]
    places = [
        (a, b, level, condition)
        for a, b in dict.fromkeys(pairs)
        for level in range(len(grams[0]))
        if known[a][level] and known[b][level]
        for condition in range(1, len(names) + 1)
    ]
    rows = []
    for a, b, level, condition in places:
        one, two = grams[a][level], grams[b][level]
        found = change(one, two, condition, CONFIDENCE)
        wide = change(one, two, condition, 1 - (1 - CONFIDENCE) / len(places))
        if found is None or wide is None:
            continue
        rows.append(
            {
                "from": steps[a],
                "to": steps[b],
                "level": level,
                "degradation": names[condition - 1],
                **found,
                "moved": found["ci"][0] > 0 or found["ci"][1] < 0,
                "moved_family_wise": wide["ci"][0] > 0 or wide["ci"][1] < 0,
            }
        )
    return rows


def main() -> None:
    """Probe each checkpoint, compare."""
    parser = study_parser(__file__, __doc__)
    parser.add_argument(
        "--trained", type=Path, required=True, help="--work of the training"
    )
    parser.add_argument("--ckpt", default="tiny", help="lends the other components")
    parser.add_argument("--steps", default="500,1500,2500,3500,4000")
    parser.add_argument("--levels", default="5")
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--degradations", default="blur:3,noise:3,freeze:5")
    parser.add_argument("--work", type=Path, required=True, help="folder; resumes")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    grams: list[list[LevelGram]] = []
    for step in (int(part) for part in args.steps.split(",")):
        name = f"step-{step:05d}"
        source = pipeline_at_step(
            args.ckpt, args.trained / f"{name}.pt", args.work / name
        )
        run_probe(
            ProbeRunSettings(
                ckpt=str(source),
                num_clips=args.clips,
                draws=args.draws,
                metric="raw",
                levels=args.levels,
                degradations=args.degradations,
                out=args.work / f"run-{step:05d}",
            )
        )
        run = FinishedProbe(args.work / f"run-{step:05d}")
        grams.append(run.whole_grams())
        details, golden = run.schedule.degradations_detail, run.golden
        rows.append(
            {
                "step": step,
                "snr": golden.snr,
                "loss": golden.loss,
                "resolved": golden.resolved,
                "cosine": {name: entry.cosine for name, entry in details.items()},
                "cosine_ci": {name: entry.cosine_ci for name, entry in details.items()},
                "bands": {name: entry.bands for name, entry in details.items()},
                "edges_ci": {name: entry.edges_ci for name, entry in details.items()},
                "avoid": {name: entry.avoid for name, entry in details.items()},
            }
        )
        print(step, "snr", np.round(golden.snr, 3), "bands", rows[-1]["bands"])
    moved = changes(
        grams,
        [row["resolved"] for row in rows],
        [row["step"] for row in rows],
        list(rows[0]["cosine"]),
    )
    counts = {}
    for each in moved:
        key = f"{each['degradation']}, {each['from']} to {each['to']}"
        known = counts.setdefault(
            key, {"levels": 0, "moved": 0, "moved_family_wise": 0}
        )
        known["levels"] += 1
        known["moved"] += each["moved"]
        known["moved_family_wise"] += each["moved_family_wise"]
    for key, known in counts.items():
        print(key, known)
    write_results(
        parser,
        args,
        {
            "levels": run.levels,
            "counts": counts,
            "changes": moved,
            "rows": rows,
        },
    )


if __name__ == "__main__":
    run_script(main)
