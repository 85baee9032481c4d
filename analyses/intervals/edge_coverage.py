"""Do the intervals of band edges hold the true edge? On gradients with known truth.

The cosine rises linearly with sigma over ten levels, from 0.6 to 0.99, and passes
0.9 at a known place; the noise of the levels is independent. Counted are runs with one
band: how often the interval of its lower edge holds that place, how wide it is, how far
the edge itself lies from it, and how
often the intervals of two runs meet.

    python -m analyses.intervals.edge_coverage
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from tqdm import tqdm

from analyses.intervals.synthetic_gradients import Truth, draw, paired
from analyses.results_file import run_script, study_parser, write_results
from tqd_probe.core.rng import stream
from tqd_probe.schedules.bands import CosineCriterion, LevelCurves, use_intervals
from tqd_probe.schedules.edges import (
    edge_intervals,
    possible_intervals,
    sure_intervals,
)
from tqd_probe.statistics.similarity import LevelStatistics

LEVELS = (np.arange(10) + 0.5) / 10
COSINES = np.linspace(0.6, 0.99, 10)
CRITERION = CosineCriterion()
CLOSE = 0.07


def runs_of(clips: int, snr: float, tails: int, times: int, seed: int) -> np.ndarray:
    """Draw runs; return edge and its interval ``[runs, 3]`` of those with one band."""
    levels = []
    for cosine in COSINES:
        truth = Truth(clips, snr, float(cosine), shared=0.5, tails=tails, ratio=1.2)
        rng = stream(seed, "edges", str(truth))
        some = [
            LevelStatistics(paired(each), 0, confidence=CRITERION.confidence)
            for each in draw(truth, times, rng)
        ]
        compared = [each.compare([1]) for each in some]
        levels.append(
            (
                [each.cosine for each in compared],
                [each.cosine_ci for each in compared],
                [each.norm_ratio for each in compared],
                [each.norm_ratio_ci for each in compared],
                [each.golden().resolved for each in some],
            )
        )
    found = []
    for run in range(times):
        parts = (np.array([level[part][run] for level in levels]) for part in range(5))
        measured = LevelCurves(LEVELS, *parts)
        bands = use_intervals(measured, CRITERION)
        edges = edge_intervals(
            bands,
            sure_intervals(measured, CRITERION),
            possible_intervals(measured, CRITERION),
        )
        if len(bands) == 1:
            found.append((bands[0][0], *edges[0][0]))
    return np.array(found).reshape(-1, 3)


def main() -> None:
    """Run all situations and write the table."""
    parser = study_parser(__file__, __doc__)
    parser.add_argument("--times", type=int, default=300, help="runs per situation")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    truth = float(np.interp(CRITERION.cos_min, COSINES, LEVELS))
    rows: list[dict[str, Any]] = []
    grid = list(itertools.product((12, 24, 48), (0.1, 0.4), (0, 5)))
    for clips, snr, tails in tqdm(grid, desc="edges", unit="situation"):
        edge, low, high = runs_of(clips, snr, tails, args.times, args.seed).T
        one, two = (np.arange(len(edge) // 2 * 2).reshape(-1, 2)).T
        meet = (low[one] <= high[two]) & (low[two] <= high[one])
        close = np.abs(edge[one] - edge[two]) <= CLOSE
        rows.append(
            {
                "clips": clips,
                "snr": snr,
                "tails": tails,
                "one_band": len(edge) / args.times,
                "holds": float(((low <= truth) & (truth <= high)).mean()),
                "median_width": float(np.median(high - low)),
                "median_edge_minus_truth": float(np.median(edge - truth)),
                "pairs_within_0.07": float(close.mean()),
                "pairs_within_or_meet": float((close | meet).mean()),
            }
        )
        tqdm.write(str(rows[-1]))
    write_results(
        parser,
        args,
        {
            "true_edge": truth,
            "holds": float(np.mean([row["holds"] for row in rows])),
            "rows": rows,
        },
    )


if __name__ == "__main__":
    run_script(main)
