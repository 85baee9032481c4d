"""Does `--plan` predict the widths that runs then find?

Five seeds of `stability.py` (48 clips x 2 draws) are the pilots in turn: the first 32
clips of each forecast, as `--plan` does, the width of every cosine's interval for 24
and 48 clips x 2 draws (and, with `--one-draw`, 48 x 1). What they are held against
comes from the *other* seeds alone: the halves of their clips, and all of them. Like is
compared with like: a forecast with the median width of those runs, and the range of
widths that goes with it with every single one. Only levels resolved in pilot and run
count.

    python -m analyses.intervals.stability --ckpt tiny --runs DIR
    python -m analyses.intervals.plan_check --ckpt tiny --runs DIR
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from analyses.finished_probe import FinishedProbe
from analyses.intervals.stability import half
from analyses.results_file import run_script, study_parser, write_results
from tqd_probe.clips.degradations import parse_degradations
from tqd_probe.gradients.gram import LevelGram
from tqd_probe.probing.comparisons import paired_comparisons
from tqd_probe.probing.pilot import PILOT_CLIPS
from tqd_probe.probing.run import run_probe
from tqd_probe.probing.settings import ProbeRunSettings
from tqd_probe.statistics.forecast import forecast
from tqd_probe.statistics.similarity import LevelStatistics

CONFIDENCE, CLOSE = 0.95, 0.25


def first_clips(gram: LevelGram, count: int) -> LevelGram:
    """Keep the first clips."""
    return LevelGram(
        gram.groups,
        gram.products[:, :, :count][:, :, :, :, :count],
        gram.draws[:, :, :count],
        gram.losses[:count],
    )


def grams_of(settings: ProbeRunSettings) -> tuple[list[float], list[LevelGram]]:
    """Probe (or open a finished run) and return its levels and Gram matrices."""
    run_probe(settings)
    run = FinishedProbe(Path(str(settings.out)))
    return run.levels, run.whole_grams()


def widths(grams: list[LevelGram], conditions: list[int]) -> list[float]:
    """Return the widths that runs found, of those that resolve the level."""
    found = []
    for gram in grams:
        level = LevelStatistics(gram, 0, confidence=CONFIDENCE)
        if level.golden().resolved:
            low, high = level.compare(conditions).cosine_ci
            found.append(high - low)
    return [width for width in found if np.isfinite(width)]


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Count how often forecasts are close, and ranges hold."""
    ratios = np.array([row["ratio"] for row in rows])
    return {
        "forecasts": len(rows),
        "within_25_percent": float((np.abs(ratios - 1) <= CLOSE).mean()),
        "ratio_quantiles": {
            str(q): float(np.quantile(ratios, q)) for q in (0.1, 0.5, 0.9)
        },
        "runs_within_25_percent_of_their_median": float(
            np.mean([row["runs_close"] for row in rows])
        ),
        "runs_in_the_stated_range": float(np.mean([row["in_range"] for row in rows])),
        "median_of_range_high_over_low": float(np.median([r["range"] for r in rows])),
    }


def held_against(
    pilot: LevelStatistics,
    conditions: list[int],
    cases: dict[tuple[int, int], list[LevelGram]],
) -> list[dict[str, Any]]:
    """Compare one pilot's forecasts with the runs of each size."""
    predicted, rows = forecast(pilot, conditions), []
    for (clips, draws), grams in cases.items():
        found = np.array(widths(grams, conditions))
        width = predicted.width(clips, draws, CONFIDENCE)
        if len(found) < 3 or not np.isfinite(width):
            continue
        low, high = predicted.prediction_interval(clips, draws, CONFIDENCE)
        middle = float(np.median(found))
        close = np.abs(found / middle - 1) <= CLOSE
        rows.append(
            {
                "clips": clips,
                "draws": draws,
                "predicted": width,
                "found": middle,
                "ratio": width / middle,
                "runs_close": float(close.mean()),
                "in_range": float(((found >= low) & (found <= high)).mean()),
                "range": high / low,
            }
        )
    return rows


def medians_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Take the median over pilots of every kind of forecast: is it biased?"""
    kinds: dict[tuple[Any, ...], list[float]] = {}
    for row in rows:
        key = (row["clips"], row["draws"], row["sigma"], row["subject"])
        kinds.setdefault(key, []).append(row["ratio"])
    values = np.array([np.median(some) for some in kinds.values()])
    return {
        "kinds": len(values),
        "within_25_percent": float((np.abs(values - 1) <= CLOSE).mean()),
        "least": float(values.min()),
        "median": float(np.median(values)),
        "most": float(values.max()),
    }


def main() -> None:
    """Forecast, run, compare."""
    parser = study_parser(__file__, __doc__)
    parser.add_argument("--ckpt", default="tiny")
    parser.add_argument("--runs", type=Path, required=True, help="of stability.py")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--clips", type=int, default=48)
    parser.add_argument("--pilot", type=int, default=PILOT_CLIPS, help="clips of it")
    parser.add_argument("--one-draw", action="store_true", help="also runs with one")
    parser.add_argument("--levels", default="0.15,0.45,0.75", help="of one-draw runs")
    parser.add_argument("--degradations", default="blur:3,noise:3,downscale:3,freeze:5")
    args = parser.parse_args()

    def settings(seed: int, draws: int, levels: str, name: str) -> ProbeRunSettings:
        return ProbeRunSettings(
            ckpt=args.ckpt,
            num_clips=args.clips,
            draws=draws,
            metric="raw",
            levels=levels,
            degradations=args.degradations,
            seed=seed,
            out=args.runs / f"{name}-{seed}",
        )

    two = [grams_of(settings(seed, 2, "10", "seed")) for seed in range(args.seeds)]
    one = [
        grams_of(settings(seed, 1, args.levels, "one-draw"))
        for seed in range(args.seeds if args.one_draw else 0)
    ]
    levels = two[0][0]
    once = {round(s, 6): index for index, s in enumerate(one[0][0] if one else [])}
    names = paired_comparisons(parse_degradations(args.degradations))
    rows: list[dict[str, Any]] = []
    for index, sigma in enumerate(levels):
        for seed in range(args.seeds):
            pilot = LevelStatistics(
                first_clips(two[seed][1][index], args.pilot), 0, confidence=CONFIDENCE
            )
            if not pilot.golden().resolved:
                continue
            others = [other for other in range(args.seeds) if other != seed]
            cases = {
                (args.clips // 2, 2): [
                    half(two[other][1][index], k) for other in others for k in (0, 1)
                ],
                (args.clips, 2): [two[other][1][index] for other in others],
            }
            if round(sigma, 6) in once:
                cases[args.clips, 1] = [
                    one[other][1][once[round(sigma, 6)]] for other in others
                ]
            rows += [
                {"sigma": sigma, "seed": seed, "subject": name, **row}
                for name, conditions in names.items()
                for row in held_against(pilot, conditions, cases)
            ]
    sizes = sorted({(row["clips"], row["draws"]) for row in rows})
    found = {
        "all": summary(rows),
        **{
            f"{clips}x{draws}": summary(
                [r for r in rows if (r["clips"], r["draws"]) == (clips, draws)]
            )
            for clips, draws in sizes
        },
        **{name: summary([r for r in rows if r["subject"] == name]) for name in names},
        "medians_over_pilots": medians_of(rows),
    }
    for name, entry in found.items():
        print(name, entry)
    write_results(
        parser,
        args,
        {
            "summary": found,
            "rows": rows,
        },
    )


if __name__ == "__main__":
    run_script(main)
