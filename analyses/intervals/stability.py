"""How far do band edges move with other clips and noise? Five seeds and halves.

Each seed has its own synthetic clips and noise, so the runs share only the checkpoint.
Halves are the even and the odd clips of a run: of 48 clips each is a run of the default
24. Compared are, pair by pair, the edges of every band where both have the same number
of bands, and otherwise the bands' difference in length (the measure of the levels that
only one has); once on all levels and once on those that both resolve, because a band
ends at an unresolved level. The intervals of the edges account for it where they meet:
nothing that one run is sure of is excluded by the other (`tqd_probe.schedules.edges`).

    python -m analyses.intervals.stability --ckpt tiny --runs DIR
    python -m figures.stability
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from analyses.finished_probe import FinishedProbe
from analyses.results_file import run_script, study_parser, write_results
from tqd_probe.clips.degradations import parse_degradations
from tqd_probe.gradients.gram import LevelGram
from tqd_probe.probing.comparisons import paired_comparisons
from tqd_probe.probing.run import run_probe
from tqd_probe.probing.settings import ProbeRunSettings
from tqd_probe.schedules.bands import CosineCriterion, LevelCurves, use_intervals
from tqd_probe.schedules.edges import (
    edge_intervals,
    possible_intervals,
    sure_intervals,
)
from tqd_probe.schedules.interval_sets import Band
from tqd_probe.statistics.similarity import LevelStatistics

CLOSE = 0.07
CRITERION = CosineCriterion()
GRID = np.linspace(0, 1, 2001)


@dataclass(frozen=True)
class Curves:
    """One class or degradation in one run: what bands are cut from, per level."""

    measured: LevelCurves

    @property
    def resolved(self) -> np.ndarray:
        """Where the golden gradient is resolved ``[L]``."""
        return self.measured.resolved

    def bands(self, resolved: np.ndarray | None = None) -> list[Band]:
        """Cut bands, on the given levels only."""
        known = self.resolved if resolved is None else resolved
        return use_intervals(replace(self.measured, resolved=known), CRITERION)

    def limits(self) -> tuple[list[Band], list[Band]]:
        """Return where the run is sure of a band, and what it does not exclude."""
        return (
            sure_intervals(self.measured, CRITERION),
            possible_intervals(self.measured, CRITERION),
        )

    def widths(self) -> list[float]:
        """Return how wide the intervals of the edges are."""
        found = edge_intervals(self.bands(), *self.limits())
        return [high - low for pair in found for low, high in pair]


def curves_of(
    levels: np.ndarray, grams: list[LevelGram], conditions: list[int]
) -> Curves:
    """Measure one class or degradation from Gram matrices."""
    found = [LevelStatistics(gram, 0, confidence=0.95) for gram in grams]
    compared = [each.compare(conditions) for each in found]
    return Curves(
        LevelCurves(
            levels=levels,
            cosine=np.array([each.cosine for each in compared]),
            cosine_ci=np.array([each.cosine_ci for each in compared]),
            norm_ratio=np.array([each.norm_ratio for each in compared]),
            norm_ratio_ci=np.array([each.norm_ratio_ci for each in compared]),
            resolved=np.array([each.golden().resolved for each in found]),
        )
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


def inside(bands: list[Band]) -> np.ndarray:
    """Say which places of the grid lie in a band."""
    found = [(low <= GRID) & (high >= GRID) for low, high in bands]
    return np.any([*found, np.zeros(len(GRID), bool)], 0)


def movement(a: list[Band], b: list[Band]) -> tuple[float, bool]:
    """Return the largest movement of an edge, and whether bands correspond."""
    if len(a) == len(b):
        gaps = [abs(x - y) for p, q in zip(a, b) for x, y in zip(p, q)]
        return max(gaps, default=0.0), True
    return float((inside(a) != inside(b)).mean()), False


def compare(a: Curves, b: Curves) -> dict[str, Any]:
    """Compare the bands of two runs."""
    moved, same = movement(a.bands(), b.bands())
    both = a.resolved & b.resolved
    limits = a.limits(), b.limits()
    apart = [
        inside(sure) & ~inside(possible)
        for (sure, _), (_, possible) in (limits, limits[::-1])
    ]
    return {
        "moved": moved,
        "same_number": same,
        "moved_where_both_resolved": movement(a.bands(both), b.bands(both))[0],
        "meet": not np.any(apart),
    }


def row_of(
    name: str, kind: str, pairs: list[Any], runs: list[Curves]
) -> dict[str, Any]:
    """Summarise the comparison of pairs of runs."""
    found = [compare(a, b) for a, b in pairs]
    moved, resolved, meet = (
        np.array([each[key] for each in found])
        for key in ("moved", "moved_where_both_resolved", "meet")
    )
    widths = [width for run in runs for width in run.widths()]
    return {
        "subject": name,
        "compared": kind,
        "pairs": len(found),
        "median_movement": float(np.median(moved)),
        "largest_movement": float(moved.max()),
        "within_0.07": float(np.mean(moved <= CLOSE)),
        "largest_movement_where_both_resolved": float(resolved.max()),
        "within_0.07_where_both_resolved": float(np.mean(resolved <= CLOSE)),
        "intervals_meet": float(np.mean(meet)),
        "within_or_said": float(np.mean((moved <= CLOSE) | meet)),
        "same_number_of_bands": float(np.mean([e["same_number"] for e in found])),
        "median_width_of_edge_intervals": float(np.median(widths)) if widths else None,
        "largest_width_of_edge_intervals": max(widths, default=None),
    }


def main() -> None:
    """Run the seeds, compare them pair by pair and each run's halves."""
    parser = study_parser(__file__, __doc__)
    parser.add_argument("--ckpt", default="tiny")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--clips", type=int, default=48)
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--levels", default="10")
    parser.add_argument("--degradations", default="blur:3,noise:3,downscale:3,freeze:5")
    parser.add_argument("--runs", type=Path, required=True, help="folder; resumes")
    args = parser.parse_args()
    runs: list[list[LevelGram]] = []
    for seed in range(args.seeds):
        settings = ProbeRunSettings(
            ckpt=args.ckpt,
            num_clips=args.clips,
            draws=args.draws,
            metric="raw",
            levels=args.levels,
            degradations=args.degradations,
            seed=seed,
            out=args.runs / f"seed-{seed}",
        )
        run_probe(settings)
        finished = FinishedProbe(args.runs / f"seed-{seed}")
        levels = np.array(finished.levels)
        runs.append(finished.whole_grams())
    halved = [[[half(gram, k) for gram in grams] for k in (0, 1)] for grams in runs]
    rows: list[dict[str, Any]] = []
    bands: dict[str, Any] = {}
    compared = paired_comparisons(parse_degradations(args.degradations))
    for name, conditions in compared.items():
        whole = [curves_of(levels, grams, conditions) for grams in runs]
        halves = [
            tuple(curves_of(levels, grams, conditions) for grams in pair)
            for pair in halved
        ]
        firsts = [pair[0] for pair in halves]
        every = [each for pair in halves for each in pair]
        rows += [
            row_of(name, "seeds", list(itertools.combinations(whole, 2)), whole),
            row_of(
                name,
                "seeds, half the clips",
                list(itertools.combinations(firsts, 2)),
                firsts,
            ),
            row_of(name, "halves", halves, every),
        ]
        for row in rows[-3:]:
            print(row)
        bands[name] = [
            {
                "whole": each.bands(),
                "edges": edge_intervals(each.bands(), *each.limits()),
                "halves": [part.bands() for part in pair],
                "resolved": each.resolved.tolist(),
                "halves_resolved": [part.resolved.tolist() for part in pair],
            }
            for each, pair in zip(whole, halves)
        ]
    write_results(
        parser,
        args,
        {
            "levels": levels.tolist(),
            "clips": args.clips,
            "rows": rows,
            "bands": bands,
        },
    )


if __name__ == "__main__":
    run_script(main)
