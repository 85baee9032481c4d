"""Do 95 % intervals hold the truth 95 times in 100? On gradients with known truth.

The intervals are those of the product (`LevelStatistics`): Fieller's, with the variance
of U-statistics. Beside them what else one might use on the same gradients: the
bias-corrected and accelerated bootstrap over clips (Efron, 1987; a clip drawn twice
is not paired with itself), and the same Fieller intervals with the plain jackknife
variance or the unbiased one. Counted where the level is resolved, for those are the
intervals that bands rest on; and how often it is.

    python -m analyses.intervals.coverage
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from scipy.stats import norm
from tqdm import tqdm

from analyses.intervals.synthetic_gradients import Truth, draw, paired, unpaired
from analyses.results_file import run_script, study_parser, write_results
from tqd_probe.core.files import finite_or_none
from tqd_probe.core.rng import stream
from tqd_probe.statistics.intervals import ratio_interval, student_quantile
from tqd_probe.statistics.similarity import LevelStatistics
from tqd_probe.statistics.u_statistics import (
    covariances,
    least_share,
    symmetric,
    u_statistic,
)

CONFIDENCE, RESAMPLES = 0.95, 2000
CLIPS, SNRS = (8, 12, 24, 48), (0.05, 0.2, 1.0)
SITUATION = ("clips", "snr", "cosine", "shared", "tails", "decay")
METHODS = ("cosine", "norm_ratio", "bias2", "unpaired", "jackknife", "unbiased", "bca")


def bca(grams: list[np.ndarray], rng: np.random.Generator) -> tuple[float, float]:
    """Bootstrap interval of the cosine from products of gg, gd and dd."""
    count = len(grams[0])
    weights = rng.multinomial(count, np.full(count, 1 / count), RESAMPLES).astype(float)

    def cosines(weights: np.ndarray) -> np.ndarray:
        pairs = weights.sum(1) ** 2 - (weights**2).sum(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            gg, gd, dd = (
                ((weights @ symmetric(gram)) * weights).sum(1) / pairs for gram in grams
            )
            return np.where((gg > 0) & (dd > 0), gd / np.sqrt(gg * dd), np.nan)

    estimate = cosines(np.ones((1, count)))[0]
    resampled, left = cosines(weights), cosines(1 - np.eye(count))
    good = resampled[np.isfinite(resampled)]
    if len(good) < 0.95 * RESAMPLES or not np.isfinite([estimate, *left]).all():
        return np.nan, np.nan
    shift = norm.ppf(
        np.clip((good < estimate).mean(), 0.5 / len(good), 1 - 0.5 / len(good))
    )
    gaps = left.mean() - left
    speed = (gaps**3).sum() / (6 * max((gaps**2).sum(), 1e-300) ** 1.5)
    tail = norm.ppf([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    moved = norm.cdf(shift + (shift + tail) / (1 - speed * (shift + tail)))
    low, high = np.quantile(good, moved)
    return float(low), float(high)


def fieller(grams: list[np.ndarray]) -> dict[str, tuple[float, float]]:
    """Fieller intervals of the cosine with the jackknife and the unbiased variance."""
    gg, gd, dd = (u_statistic(gram) for gram in grams)
    if min(gg, dd) <= 0:
        return {name: (np.nan, np.nan) for name in ("jackknife", "unbiased")}
    first, cross, second = (symmetric(gram) for gram in grams)
    bottom = (np.sqrt(dd / gg) * first + np.sqrt(gg / dd) * second) / 2
    unbiased, least = covariances(np.stack([cross, bottom]))
    jackknife = least / least_share(len(first))
    reach = student_quantile(len(first), CONFIDENCE)
    top, root = np.array(gd), np.array(np.sqrt(gg * dd))
    found = {}
    for name, variance in (("jackknife", jackknife), ("unbiased", unbiased)):
        low, high = ratio_interval(top, root, variance, variance, reach)
        found[name] = (float(low), float(high))
    return found


def cell(truth: Truth, times: int, bootstraps: int, seed: int) -> dict[str, Any]:
    """Repeat one situation; count how often each interval holds the truth."""
    rng = stream(seed, "coverage", str(truth))
    hits: dict[str, list[bool]] = {name: [] for name in METHODS}
    undefined: dict[str, int] = dict.fromkeys(METHODS, 0)
    misses = {"low": 0, "high": 0}
    widths, resolved = [], 0
    wanted = {
        "norm_ratio": truth.ratio,
        "bias2": 1 - 2 * truth.cosine * truth.ratio + truth.ratio**2,
    }
    for turn, gradients in enumerate(draw(truth, times, rng)):
        statistics = LevelStatistics(paired(gradients), 0, confidence=CONFIDENCE)
        if not statistics.golden().resolved:
            continue
        resolved += 1
        found = statistics.compare([1])
        intervals = {
            "cosine": found.cosine_ci,
            "norm_ratio": found.norm_ratio_ci,
            "bias2": found.bias2_ci,
        }
        grams = [statistics.products[a, :, b, :] for a, b in ((0, 0), (0, 1), (1, 1))]
        intervals |= fieller(grams)
        if truth.shared == 0:
            alone = LevelStatistics(
                unpaired(*gradients), 0, confidence=CONFIDENCE
            ).compare_unpaired(list(range(truth.clips)))
            intervals["unpaired"] = alone.cosine_ci
        if turn < bootstraps:
            intervals["bca"] = bca(grams, rng)
        for name, (low, high) in intervals.items():
            if not np.isfinite([low, high]).all():
                undefined[name] += 1
                continue
            value = wanted.get(name, truth.cosine)
            hits[name].append(low <= value <= high)
        low, high = found.cosine_ci
        misses["low"] += int(truth.cosine < low)
        misses["high"] += int(truth.cosine > high)
        widths.append(high - low)
    return {
        **vars(truth),
        "resolved": resolved / times,
        "misses": {side: n / max(resolved, 1) for side, n in misses.items()},
        "width": finite_or_none(float(np.nanmedian(widths or [np.nan]))),
        "undefined": undefined,
        "counted": {name: len(values) for name, values in hits.items()},
        "coverage": {
            name: float(np.mean(values)) if len(values) >= 20 else None
            for name, values in hits.items()
        },
    }


def summary(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Pool cells by clips and SNR: every interval counts the same."""
    rows = []
    for clips, snr in itertools.product(CLIPS, SNRS):
        some = [c for c in cells if c["clips"] == clips and c["snr"] == snr]
        row: dict[str, Any] = {
            "clips": clips,
            "snr": snr,
            "resolved": float(np.mean([c["resolved"] for c in some])),
        }
        for name in METHODS:
            known = [
                (c["coverage"][name], c["counted"][name])
                for c in some
                if c["coverage"][name] is not None
            ]
            if known:
                values, counts = np.array(known).T
                row[name] = {
                    "pooled": float(values @ counts / counts.sum()),
                    "least": float(values.min()),
                    "most": float(values.max()),
                }
        rows.append(row)
    return rows


def main() -> None:
    """Run all situations and write the table."""
    parser = study_parser(__file__, __doc__)
    parser.add_argument("--times", type=int, default=300, help="repetitions per cell")
    parser.add_argument("--bootstraps", type=int, default=25, help="of them with BCa")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    grid = itertools.product(
        CLIPS, SNRS, (0.5, 0.9, 0.99), (0.0, 0.8), (0, 5), (0.5, 1.5)
    )
    truths = [Truth(*values) for values in grid]
    cells = [
        cell(truth, args.times, args.bootstraps, args.seed)
        for truth in tqdm(truths, desc="coverage", unit="cell")
    ]
    rows = summary(cells)
    print("clips   snr  resolved  coverage where resolved: pooled [least, most cell]")
    for row in rows:
        parts = [
            f"{name} {row[name]['pooled']:.3f}"
            f" [{row[name]['least']:.2f}, {row[name]['most']:.2f}]"
            for name in METHODS
            if name in row
        ]
        head = f"{row['clips']:5} {row['snr']:5} {row['resolved']:8.2f}"
        print(head, " ".join(parts))
    write_results(
        parser,
        args,
        {
            "confidence": CONFIDENCE,
            "summary": rows,
            "columns": [*SITUATION, "resolved", *METHODS],
            "cells": [
                [
                    *(each[key] for key in SITUATION),
                    each["resolved"],
                    *(each["coverage"][name] for name in METHODS),
                ]
                for each in cells
            ],
        },
    )


if __name__ == "__main__":
    run_script(main)
