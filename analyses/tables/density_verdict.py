"""Does a measured density of levels, without any class, beat the simple forms?

As `protocol.md` decides: a density in proportion to the golden signal, to the golden
loss or to what golden clips gain is built only if it beats uniform and logit-normal and
the family's own, with intervals below 0, on both sets. From the finished trials of the
run `density`.

    python -m analyses.tables.density_verdict --trials DIR/tables/trials-...
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from analyses.results_file import run_script, study_parser, write_results
from analyses.tables.densities import DENSITIES
from analyses.tables.more_clips import ALPHA, losses
from tqd_probe.statistics.paired_difference import paired_difference

SIMPLE = ("uniform", "logit-normal", "family's own")
SETS = ("A", "C")


def verdict(found: dict[str, dict[str, dict[int, np.ndarray]]]) -> dict[str, Any]:
    """Compare measured densities with simple ones, in pairs of seeds and clips.

    Args:
        found: Losses ``[clips]`` by set, sampler and seed.

    Returns:
        Differences (row minus the simple one) with 95 % intervals by set, sampler and
        simple density; losses; and which measured densities are to be built.
    """
    rows: dict[str, Any] = {}
    for letter, samplers in found.items():
        rows[letter] = {}
        for name, mine in samplers.items():
            row: dict[str, Any] = {
                "seeds": len(mine),
                "loss": float(np.mean(list(mine.values()))),
            }
            for simple in SIMPLE:
                both = sorted(set(mine) & set(samplers[simple]))
                if simple != name:
                    gap = np.stack([mine[n] - samplers[simple][n] for n in both])
                    row[f"minus {simple}"] = asdict(paired_difference(gap, ALPHA))
            rows[letter][name] = row
    built = [
        name
        for name in DENSITIES
        if all(
            rows[letter][name][f"minus {simple}"]["high"] < 0
            for letter in rows
            for simple in SIMPLE
        )
    ]
    return {"rows": rows, "built": built}


def shown(one: dict[str, float] | None) -> str:
    """Return a difference in thousandths, bold where its interval leaves out 0."""
    if one is None:
        return ""
    mean, low, high = (1000 * one[key] for key in ("mean", "low", "high"))
    text = f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"
    return f"**{text}**" if low > 0 or high < 0 else text


def main() -> None:
    """Judge the densities."""
    command = study_parser(__file__, __doc__)
    command.add_argument("--trials", type=Path, required=True, help="finished trials")
    command.add_argument("--first-seed", type=int, default=60)
    command.add_argument("--seeds", type=int, default=15)
    args = command.parse_args()
    wanted = range(args.first_seed, args.first_seed + args.seeds)
    found = {
        letter: {
            name: {
                seed: value
                for seed, value in losses(
                    args.trials, f"{letter}-{name}".replace(" ", "_")
                ).items()
                if seed in wanted
            }
            for name in (*SIMPLE, *DENSITIES)
        }
        for letter in SETS
    }
    judged = verdict(found)
    for letter, rows in judged["rows"].items():
        for name, row in rows.items():
            cells = [f"Set-{letter}", name, str(row["seeds"]), f"{row['loss']:.4f}"]
            cells += [shown(row.get(f"minus {simple}")) for simple in SIMPLE]
            print("| " + " | ".join(cells) + " |")
    print("built:", judged["built"] or "none")
    write_results(command, args, judged)


if __name__ == "__main__":
    run_script(main)
