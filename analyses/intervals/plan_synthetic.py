"""How far off is the forecast of one pilot? On synthetic gradients.

A pilot forecasts the width of the cosine's interval with 48, 96 and 200 clips; runs of
that size are drawn from the same situation. Reported is the forecast over the median
width of the runs, which is the pilot's own chance, and how many single runs come out in
the range of widths that the pilot states.

    python -m analyses.intervals.plan_synthetic
"""

from __future__ import annotations

import itertools

import numpy as np

from analyses.intervals.synthetic_gradients import Truth, draw, paired
from analyses.results_file import run_script, study_parser, write_results
from tqd_probe.core.rng import stream
from tqd_probe.probing.pilot import PILOT_CLIPS
from tqd_probe.statistics.forecast import forecast
from tqd_probe.statistics.similarity import LevelStatistics

CONFIDENCE = 0.95


def main() -> None:
    """Draw pilots and runs, compare."""
    parser = study_parser(__file__, __doc__)
    parser.add_argument("--pilot", type=int, default=PILOT_CLIPS, help="clips of it")
    parser.add_argument("--pilots", type=int, default=40)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rows = []
    for clips, snr, cosine, tails in itertools.product(
        (48, 96, 200), (0.2, 1.0), (0.5, 0.9), (0, 5)
    ):
        kind = {"snr": snr, "cosine": cosine, "shared": 0.8, "tails": tails}
        rng = stream(args.seed, "plan", str(kind))
        pilots, ranges = [], []
        for gradients in draw(Truth(clips=args.pilot, **kind), args.pilots, rng):
            level = LevelStatistics(paired(gradients), 0, confidence=CONFIDENCE)
            if level.golden().resolved:
                predicted = forecast(level, [1])
                pilots.append(predicted.width(clips, 1, CONFIDENCE))
                ranges.append(predicted.prediction_interval(clips, 1, CONFIDENCE))
        found = []
        for gradients in draw(Truth(clips=clips, **kind), args.runs, rng):
            level = LevelStatistics(paired(gradients), 0, confidence=CONFIDENCE)
            low, high = level.compare([1]).cosine_ci
            found.append(high - low)
        ratios = np.array(pilots) / np.nanmedian(found)
        hits = [[low <= x <= high for x in found] for low, high in ranges]
        rows.append(
            {
                "clips": clips,
                **kind,
                "median_ratio": float(np.nanmedian(ratios)),
                "within_25_percent": float(np.mean(np.abs(ratios - 1) <= 0.25)),
                "runs_in_range": float(np.mean(hits)),
            }
        )
        print(rows[-1])
    medians = [row["median_ratio"] for row in rows]
    inside = float(np.mean([row["within_25_percent"] for row in rows]))
    held = float(np.mean([row["runs_in_range"] for row in rows]))
    print(f"medians {min(medians):.2f} to {max(medians):.2f}")
    print(f"within 25 %: {inside:.0%}; runs in the stated range: {held:.0%}")
    write_results(
        parser,
        args,
        {
            "within_25_percent": inside,
            "runs_in_range": held,
            "rows": rows,
        },
    )


if __name__ == "__main__":
    run_script(main)
