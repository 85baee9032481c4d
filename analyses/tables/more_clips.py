"""Do bands measured with more clips train worse? Two runs, paired by seed and clip.

`protocol.md` predicts no loss with more clips: the same sampler from the same start on
the same set, once with bands of 24 clips and once with bands of 96. It holds if the
upper end of the 95 % interval of (more - fewer) is below 1 thousandth of golden loss.

    python -m analyses.tables.more_clips --fewer DIR/trials-A --more DIR/trials-B

with the folders of finished trials of the runs `controls` and `controls_more`.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from analyses.results_file import run_script, study_parser, write_results
from tqd_probe.core.errors import InputError
from tqd_probe.core.files import read_json
from tqd_probe.statistics.paired_difference import paired_difference

BAR = 1e-3  # of golden loss: the prediction holds below
ALPHA = 0.05


def losses(folder: Path, prefix: str) -> dict[int, np.ndarray]:
    """Return the golden losses of a sampler's trials.

    Args:
        folder: Finished trials of `compare_samplers.py`.
        prefix: Set and sampler, as in the names of the files.

    Returns:
        Losses ``[clips]`` after training, mean over buckets, by seed.

    Raises:
        InputError: If there are none.
    """
    trials = finished_trials(folder, prefix)
    return {seed: np.array(one["after"]).mean(1) for seed, one in trials.items()}


def finished_trials(folder: Path, prefix: str) -> dict[int, Any]:
    """Read a sampler's finished trials, by seed; arguments as of `losses`."""
    found = {}
    for path in sorted(folder.glob(f"{prefix}-*.json")):
        number = path.stem.removeprefix(f"{prefix}-")
        if number.isdigit():
            found[int(number)] = read_json(path, "a finished trial")
    if not found:
        raise InputError(f"{folder}: no trial {prefix}-SEED.json; run compare_samplers")
    return found


def compare(
    fewer: dict[int, np.ndarray], more: dict[int, np.ndarray]
) -> dict[str, Any]:
    """Compare two runs on the seeds that both have.

    Args:
        fewer: Losses ``[clips]`` by seed, bands of fewer clips.
        more: The same, bands of more.

    Returns:
        The seeds; the difference (more - fewer) with its interval over seeds and clips;
        by seed; and whether the prediction holds.
    """
    seeds = sorted(set(fewer) & set(more))
    gap = np.stack([more[seed] - fewer[seed] for seed in seeds])
    difference = paired_difference(gap, ALPHA)
    return {
        "seeds": seeds,
        "difference": asdict(difference),
        "by_seed": gap.mean(1).tolist(),
        "bar": BAR,
        "holds": difference.high < BAR,
    }


def main() -> None:
    """Pair the two runs."""
    command = study_parser(__file__, __doc__)
    command.add_argument("--fewer", type=Path, required=True, help="finished trials")
    command.add_argument("--more", type=Path, required=True, help="the same")
    command.add_argument("--set", default="B")
    command.add_argument("--sampler", default="bands .90")
    args = command.parse_args()
    prefix = f"{args.set}-{args.sampler}".replace(" ", "_")
    fewer, more = (losses(folder, prefix) for folder in (args.fewer, args.more))
    found = compare(fewer, more)
    mean, low, high = (1000 * found["difference"][k] for k in ("mean", "low", "high"))
    print(f"more - fewer: {mean:+.2f} [{low:+.2f}, {high:+.2f}] thousandths")
    print(f"{len(found['seeds'])} seeds; holds: {found['holds']}")
    write_results(command, args, found)


if __name__ == "__main__":
    run_script(main)
