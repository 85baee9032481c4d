"""How far the plain cosine of mean gradients errs with few clips, beside the debiased.

Takes a finished probe, draws subsets of its clips, and compares both cosines of each
subset with the debiased cosine of all clips. (The subsets are not independent of the
whole; the bias of the plain cosine is, since it depends on their size.)

    python -m analyses.intervals.naive_bias RUN_DIR
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from analyses.finished_probe import FinishedProbe
from analyses.results_file import run_script, study_parser, write_results
from tqd_probe.core.files import finite_or_none
from tqd_probe.core.rng import stream
from tqd_probe.statistics.u_statistics import u_statistic


def cosines(
    products: np.ndarray, clips: np.ndarray, condition: int
) -> tuple[float, float]:
    """Return the plain and the debiased cosine of some clips."""
    grams = [
        products[a, :, b, :][np.ix_(clips, clips)]
        for a, b in ((0, 0), (0, condition), (condition, condition))
    ]
    plain = grams[1].mean() / np.sqrt(grams[0].mean() * grams[2].mean())
    gg, gd, dd = (u_statistic(gram) for gram in grams)
    return float(plain), float(gd / np.sqrt(gg * dd)) if min(gg, dd) > 0 else np.nan


def main() -> None:
    """Draw subsets and compare."""
    parser = study_parser(__file__, __doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--times", type=int, default=300, help="subsets of each size")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    run = FinishedProbe(args.run)
    total = run.clips
    sizes = [n for n in (4, 6, 8, 12, 16, 24, 48, 96) if n <= total // 2] + [total]
    rows = []
    for level, sigma in enumerate(run.levels):
        if not run.resolved[level]:
            continue
        products = run.store.level(level).all_groups().products[0]
        for condition, name in enumerate(run.degradations, start=1):
            whole = run.cosine(name)[level]
            if whole is None:
                continue
            for size in sizes:
                rng = stream(args.seed, "subsets", level, name, size)
                found = np.array(
                    [
                        cosines(products, rng.permutation(total)[:size], condition)
                        for _ in range(args.times if size < total else 1)
                    ]
                )
                gaps = found - whole
                rows.append(
                    {
                        "sigma": sigma,
                        "degradation": name,
                        "clips": size,
                        "plain_error": finite_or_none(float(np.nanmean(gaps[:, 0]))),
                        "debiased_error": finite_or_none(
                            float(np.nanmedian(gaps[:, 1]))
                        ),
                        "undefined": float(np.isnan(found[:, 1]).mean()),
                    }
                )
    for size in sizes:
        some = [row for row in rows if row["clips"] == size]
        plain = np.mean([row["plain_error"] for row in some])
        known = [r["debiased_error"] for r in some if r["debiased_error"] is not None]
        print(f"{size:3} clips: plain {plain:+.3f}  debiased {np.mean(known):+.3f}")
    write_results(
        parser,
        args,
        {
            "run": run.command,
            "rows": rows,
        },
    )


if __name__ == "__main__":
    run_script(main)
