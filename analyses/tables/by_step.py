"""How differences between samplers change as a training goes on, by finished trials.

Every trial is validated a few times on its way; differences of the mean golden loss are
taken in pairs of seeds.

    python -m analyses.tables.by_step --trials DIR/tables/trials-... \
        --pairs "bands .90 - uniform;bands .90 - same density;same density - uniform"
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from analyses.results_file import run_script, study_parser, write_results
from analyses.tables.density_verdict import shown
from analyses.tables.more_clips import finished_trials
from tqd_probe.statistics.intervals import student_quantile

PAIRS = "bands .90 - uniform;bands .90 - same density;same density - uniform"
PAIRS += ";bands .90 - SANA-Video rule"
CONFIDENCE = 0.95

Curves = dict[int, dict[int, float]]  # golden loss by step, by seed


def curves(folder: Path, prefix: str) -> Curves:
    """Return the golden losses on the way of a sampler's trials.

    Args:
        folder: Finished trials of `compare_samplers.py`.
        prefix: Set and sampler, as in the names of the files.

    Returns:
        Mean loss by step, by seed.

    Raises:
        InputError: If there are none.
    """
    return {
        seed: {int(step): loss for step, loss in one["curve"]}
        for seed, one in finished_trials(folder, prefix).items()
    }


def differences(mine: Curves, other: Curves) -> dict[str, dict[str, Any]]:
    """Compare two samplers at every step at which both were validated.

    Args:
        mine: Curves of one.
        other: Curves of the other.

    Returns:
        By step: mean difference (mine - other), its interval over seeds (Student), and
        the differences by seed.
    """
    seeds = sorted(set(mine) & set(other))
    steps = sorted(set.intersection(*(set(mine[s]) & set(other[s]) for s in seeds)))
    reach = student_quantile(len(seeds), CONFIDENCE)
    found: dict[str, dict[str, Any]] = {}
    for step in steps:
        gap = np.array([mine[seed][step] - other[seed][step] for seed in seeds])
        half = reach * gap.std(ddof=1) / np.sqrt(len(gap))
        mean = float(gap.mean())
        bounds = {"mean": mean, "low": mean - half, "high": mean + half}
        found[str(step)] = bounds | {"by_seed": gap.tolist()}
    return found


def main() -> None:
    """Print the differences step by step."""
    command = study_parser(__file__, __doc__)
    command.add_argument("--trials", type=Path, required=True, help="finished trials")
    command.add_argument("--set", default="A", help="set that was trained on")
    command.add_argument("--pairs", default=PAIRS, help="'ONE - OTHER;...'")
    args = command.parse_args()
    result = {}
    for pair in args.pairs.split(";"):
        names = [part.strip() for part in pair.split(" - ")]
        files = [
            f"{args.set}-{name}".replace(" ", "_").replace(",", "") for name in names
        ]
        mine, other = (curves(args.trials, file) for file in files)
        result[pair] = differences(mine, other)
        for step, gap in result[pair].items():
            print(f"| {pair} | {step} | {shown(gap)} |")
    write_results(command, args, {"pairs": result})


if __name__ == "__main__":
    run_script(main)
