"""How far do band edges move with other clips and noise? Five seeds and halves.

Each seed has its own synthetic clips and noise, so the runs share only the checkpoint.
Halves are the even and the odd clips of a run. Compared are the edges of every band,
edge by edge where two runs have the same number of bands, and otherwise the bands'
difference in length (the measure of the levels that only one has); once on all levels
and once on those that both runs resolve, because a band ends at an unresolved level.
The interval "said so" where the two runs' intervals of the cosine overlap wherever, on
the levels that both resolve, only one has a band.

    python analyses/stability.py --ckpt tiny --draws 1 --runs DIR
    python figures/stability.py
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tqd_probe.api import probe
from tqd_probe.bands import Band, CosineCriterion, cosine_bands
from tqd_probe.files import read_json, write_json
from tqd_probe.gradients.gram import LevelGram
from tqd_probe.gradients.store import GradientStore
from tqd_probe.settings import RunSettings
from tqd_probe.similarity import LevelStatistics

RESULTS = Path(__file__).parent / "results" / "stability.json"
CLOSE = 0.07
GRID = np.linspace(0, 1, 2001)


@dataclass(frozen=True)
class Curves:
    """One degradation in one run: what bands are cut from, per level."""

    intervals: list[Any]
    ratio: np.ndarray
    resolved: np.ndarray

    def bands(self, levels: np.ndarray, resolved: np.ndarray) -> list[Band]:
        """Cut bands, on the given levels only."""
        low = np.array([each[0] for each in self.intervals])
        return cosine_bands(levels, low, self.ratio, resolved, CosineCriterion())


def curves_of(grams: list[LevelGram], condition: int) -> Curves:
    """Measure one degradation from Gram matrices."""
    found = [LevelStatistics(gram, 0, confidence=0.95) for gram in grams]
    compared = [each.compare([condition]) for each in found]
    return Curves(
        [each.cosine_ci for each in compared],
        np.array([each.norm_ratio for each in compared]),
        np.array([each.golden().resolved for each in found]),
    )


def half(gram: LevelGram, first: int) -> LevelGram:
    """Keep every other clip."""
    rows = slice(first, None, 2)
    return LevelGram(
        gram.groups,
        gram.products[:, :, rows][:, :, :, :, rows],
        gram.draws[:, :, rows],
        gram.losses[rows],
    )


def inside(bands: list[Band], places: np.ndarray) -> np.ndarray:
    """Say which places lie in a band."""
    found = [(places >= low) & (places <= high) for low, high in bands]
    return np.any([*found, np.zeros(len(places), bool)], 0)


def movement(a: list[Band], b: list[Band]) -> tuple[float, bool]:
    """Return the largest movement of an edge, and whether bands correspond."""
    if len(a) == len(b):
        gaps = [abs(x - y) for p, q in zip(a, b) for x, y in zip(p, q)]
        return max(gaps, default=0.0), True
    return float((inside(a, GRID) != inside(b, GRID)).mean()), False


def compare(a: Curves, b: Curves, levels: np.ndarray) -> dict[str, Any]:
    """Compare the bands of two runs, on all levels and on those both resolve.

    The interval "said so" if the two intervals overlap at every level, resolved in
    both, that lies in the part of the axis only one run has or within half a step.
    """
    moved, same = movement(a.bands(levels, a.resolved), b.bands(levels, b.resolved))
    both = a.resolved & b.resolved
    one, two = a.bands(levels, both), b.bands(levels, both)
    apart = GRID[inside(one, GRID) != inside(two, GRID)]
    step = np.diff(levels).max() / 2
    said = all(
        x[0] <= y[1] and y[0] <= x[1]
        for x, y, sigma, known in zip(a.intervals, b.intervals, levels, both)
        if known and len(apart) and abs(sigma - apart).min() <= step
    )
    moved_both = movement(one, two)[0]
    return {
        "moved": moved,
        "same_number": same,
        "moved_where_both_resolved": moved_both,
        "small_or_said": moved_both <= CLOSE or said,
    }


def main() -> None:
    """Run the seeds, compare them pair by pair and each run's halves."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ckpt", default="tiny")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--levels", default="10")
    parser.add_argument("--degradations", default="blur:3,noise:3,downscale:3,freeze:5")
    parser.add_argument("--runs", type=Path, required=True, help="folder; resumes")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    runs: list[list[LevelGram]] = []
    for seed in range(args.seeds):
        settings = RunSettings(
            ckpt=args.ckpt,
            num_clips=args.clips,
            draws=args.draws,
            levels=args.levels,
            degradations=args.degradations,
            seed=seed,
            out=args.runs / f"seed-{seed}",
        )
        result = probe(settings)
        folder = args.runs / f"seed-{seed}" / "gradients"
        note = read_json(folder / "store.json", "a store")
        store = GradientStore(folder, note["fingerprint"])
        levels = np.array(result["noise"]["levels"])
        runs.append([store.level(i).all_groups() for i in range(len(levels))])
    names = args.degradations.split(",")
    rows: list[dict[str, Any]] = []
    for condition, name in enumerate(names, start=1):
        whole = [curves_of(grams, condition) for grams in runs]
        halves = [
            [curves_of([half(gram, k) for gram in grams], condition) for k in (0, 1)]
            for grams in runs
        ]
        cut = [each.bands(levels, each.resolved) for each in whole]
        cut_halves = [[e.bands(levels, e.resolved) for e in pair] for pair in halves]
        for kind, pairs, bands in (
            ("seeds", list(itertools.combinations(whole, 2)), cut),
            ("halves", halves, cut_halves),
        ):
            found = [compare(a, b, levels) for a, b in pairs]
            moved = np.array([each["moved"] for each in found])
            resolved = np.array([each["moved_where_both_resolved"] for each in found])
            rows.append(
                {
                    "degradation": name,
                    "compared": kind,
                    "pairs": len(found),
                    "bands": bands,
                    "median_movement": float(np.median(moved)),
                    "largest_movement": float(moved.max()),
                    "within_0.07": float(np.mean(moved <= CLOSE)),
                    "median_movement_where_both_resolved": float(np.median(resolved)),
                    "largest_movement_where_both_resolved": float(resolved.max()),
                    "within_0.07_where_both_resolved": float(
                        np.mean(resolved <= CLOSE)
                    ),
                    "within_or_said": float(
                        np.mean([each["small_or_said"] for each in found])
                    ),
                    "same_number_of_bands": float(
                        np.mean([each["same_number"] for each in found])
                    ),
                }
            )
            print({k: v for k, v in rows[-1].items() if k != "bands"})
    write_json(
        args.out,
        {
            "command": f"python analyses/stability.py --ckpt {args.ckpt} --seeds"
            f" {args.seeds} --clips {args.clips} --draws {args.draws} --levels"
            f" {args.levels} --degradations {args.degradations} --runs RUNS",
            "levels": levels.tolist(),
            "rows": rows,
        },
    )
    print(args.out)


if __name__ == "__main__":
    main()
