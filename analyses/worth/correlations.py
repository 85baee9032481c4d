"""Rank correlations of predicted and achieved, with intervals."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata

from tqd_probe.core.rng import stream
from tqd_probe.gradients.gram import LevelGram
from tqd_probe.statistics.paired_difference import paired_difference
from tqd_probe.statistics.similarity import LevelStatistics
from tqd_probe.statistics.u_statistics import u_statistic

CONFIDENCE = 0.95
RESAMPLES = 1000
CUTS = (-2.0, 0.8, 0.9, 0.95, 0.98, 2.0)  # of the cosine; estimates may exceed 1
PREDICTORS = (
    "cosine",
    "cosine, Adam's metric",
    "first-order gain",
    "cosine after look-ahead",
    "latent distance over noise",
    "share of golden gain after look-ahead",
)
ACHIEVED = ("share of golden gain", "gain at the level", "gain at all levels")


def cosine_of(own: torch.Tensor, other: torch.Tensor) -> dict[str, Any]:
    """Compare gradients of golden clips and of their degraded copies.

    Args:
        own: Golden gradients ``[N, P]``.
        other: The copies', same clips and noise.

    Returns:
        The debiased cosine with its interval, the first-order gain ``U_gd / U_gg``, and
        whether the golden gradient is resolved.
    """
    statistics = pair_statistics(own, other)
    found, golden = statistics.compare([1]), statistics.golden()
    product = u_statistic(statistics.products[0, :, 1, :])
    return {
        "cosine": _number(found.cosine),
        "ci": [_number(end) for end in found.cosine_ci],
        "first_order": product / golden.signal if golden.signal > 0 else None,
        "resolved": golden.resolved,
    }


def pair_statistics(own: torch.Tensor, other: torch.Tensor) -> LevelStatistics:
    """Return the statistics of golden clips and their degraded copies.

    Args:
        own: Golden gradients ``[N, P]``.
        other: The copies', same clips and noise.

    Returns:
        The statistics; golden is version 0, the copies are version 1.
    """
    rows = torch.cat([own, other])
    return statistics_of_products((rows @ rows.T).double().numpy())


def statistics_of_products(products: np.ndarray) -> LevelStatistics:
    """Return the statistics of golden clips and their degraded copies.

    Args:
        products: Inner products of gradients ``[2N, 2N]``, golden clips first.

    Returns:
        The statistics; golden is version 0, the copies are version 1.
    """
    count = len(products) // 2
    gram = products.reshape(1, 2, count, 2, count)
    draws = np.einsum("gcncn->gcn", gram)[..., None, None]
    level = LevelGram(("all",), gram, draws, np.zeros((count, 1, 2)))
    return LevelStatistics(level, 0, confidence=CONFIDENCE)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Return the rank correlation, NaN where one does not vary."""
    a, b = rankdata(x), rankdata(y)
    if len(a) < 3 or a.std() == 0 or b.std() == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def within(x: np.ndarray, y: np.ndarray, groups: np.ndarray) -> float:
    """Return the mean rank correlation inside groups, weighted by their size."""
    found, weights = [], []
    for one in np.unique(groups):
        rho = spearman(x[groups == one], y[groups == one])
        if np.isfinite(rho):
            found.append(rho)
            weights.append((groups == one).sum())
    return float(np.average(found, weights=weights)) if found else float("nan")


class Pairs:
    """All (degradation, level) pairs that can be judged."""

    def __init__(
        self,
        predicted: list[dict[str, Any]],
        before: np.ndarray,
        trials: dict[str, list[dict[str, Any]]],
        levels: list[float],
        names: list[str],
    ) -> None:
        """Arrange the losses; see `summarise` for the arguments."""
        self.before, self.levels = before, levels
        self.end, self.look, self.similar, self.later = [], [], [], []
        self.name, self.level = [], []
        golden = [trials[f"golden {sigma:g}"] for sigma in levels]
        self.golden = np.array([[t["end"] for t in g] for g in golden])
        self.golden_look = np.array([[t["look"] for t in g] for g in golden], float)
        self.early = _early_shares(predicted, before, trials, levels)
        gains = before - self.golden
        self.golden_gain = [
            paired_difference(gains[j, :, :, j], 1 - CONFIDENCE)
            for j in range(len(levels))
        ]
        for row in predicted:
            sigma = row["sigma"]
            own = trials[f"{row['degradation']} {sigma:g}"]
            self.similar.append(row)
            self.end.append([t["end"] for t in own])
            self.look.append([t["look"] for t in own])
            self.later.append([t["cosine"]["cosine"] for t in own])
            self.name.append(names.index(row["degradation"]))
            self.level.append(levels.index(sigma))
        self.name, self.level = np.array(self.name), np.array(self.level)
        self.end, self.look = np.array(self.end), np.array(self.look, float)
        self.later = np.array(self.later, dtype=float)
        finite = [
            None not in (r["raw"]["cosine"], r["adam"]["cosine"]) for r in self.similar
        ]
        self.usable = np.array(
            [
                ok and r["raw"]["resolved"] and self.golden_gain[j].low > 0
                for ok, r, j in zip(finite, self.similar, self.level)
            ]
        )
        if np.isfinite(self.later).any():  # measured at all
            self.usable &= np.isfinite(self.later).any(1)

    def achieved(self, seeds: np.ndarray, clips: np.ndarray) -> dict[str, np.ndarray]:
        """Return what was achieved, from some seeds and held-out clips."""
        before = self.before[clips].mean(0)
        end = self.end[:, seeds][:, :, clips].mean((1, 2))
        golden = self.golden[:, seeds][:, :, clips].mean((1, 2))
        at = np.arange(len(end))
        own = before[self.level] - end[at, self.level]
        best = before[self.level] - golden[self.level, self.level]
        return {
            "share of golden gain": own / best,
            "gain at the level": own / before[self.level],
            "gain at all levels": (before.mean() - end.mean(1)) / before.mean(),
        }

    def predictors(
        self, seeds: np.ndarray, clips: np.ndarray, rng: np.random.Generator | None
    ) -> dict[str, np.ndarray]:
        """Return the predictors; with a generator, cosines move by their errors."""

        def cosine(metric: str) -> np.ndarray:
            values = np.array([r[metric]["cosine"] for r in self.similar], float)
            if rng is None:
                return values
            ends = np.array([r[metric]["ci"] for r in self.similar], float)
            error = np.nan_to_num((ends[:, 1] - ends[:, 0]) / (2 * 1.96))
            return values + error * rng.standard_normal(len(values))

        before = self.before[clips].mean(0)[self.level]
        at = np.arange(len(self.look))
        look = self.look[:, seeds][:, :, clips].mean((1, 2))[at, self.level]
        best = self.golden_look[:, seeds][:, :, clips].mean((1, 2))
        best = best[self.level, self.level]
        far = [r["latent_distance_over_noise"] for r in self.similar]
        first = [r["raw"]["first_order"] for r in self.similar]
        share = (before - look) / (before - best)
        values = (
            cosine("raw"),
            cosine("adam"),
            np.array(first, float),
            _known_mean(self.later, seeds),
            -np.array(far),
            share,
        )
        return dict(zip(PREDICTORS, values))


def summarise(
    predicted: list[dict[str, Any]],
    before: np.ndarray,
    trials: dict[str, list[dict[str, Any]]],
    levels: list[float],
    names: list[str],
) -> dict[str, Any]:
    """Correlate predicted with achieved.

    Args:
        predicted: Similarity of every pair.
        before: Golden losses at the start ``[clips, levels]``.
        trials: By ``"degradation level"`` or ``"golden level"``, one per seed.
        levels: The levels.
        names: The degradations.

    Returns:
        Points of the scatter, and for each predictor and achievement the rank
        correlation with two 95 % intervals: ``measured`` resamples seeds and held-out
        clips and moves cosines by their errors, the pairs fixed; ``degradations``
        resamples degradations with all their levels.
    """
    pairs = Pairs(predicted, before, trials, levels, names)
    seeds, clips = np.arange(pairs.end.shape[1]), np.arange(before.shape[0])
    use = pairs.usable
    reached = pairs.achieved(seeds, clips)
    guessed = pairs.predictors(seeds, clips, None)
    rng = stream(0, "worth-bootstrap")
    draws: dict[str, list[dict[str, dict[str, float]]]] = {"m": [], "d": []}
    if use.sum() >= 3:
        for _ in range(RESAMPLES):
            some, few = rng.choice(seeds, len(seeds)), rng.choice(clips, len(clips))
            achieved = pairs.achieved(some, few)
            predictors = pairs.predictors(some, few, rng)
            draws["m"].append(_table(predictors, achieved, np.flatnonzero(use)))
            picked = rng.choice(len(names), len(names))
            rows = [np.flatnonzero(use & (pairs.name == k)) for k in picked]
            draws["d"].append(_table(guessed, reached, np.concatenate(rows)))
    here = np.flatnonzero(use)
    table = _table(guessed, reached, here)
    correlations: dict[str, Any] = {}
    for wanted in ACHIEVED:
        for name in PREDICTORS:
            gap = [d["cosine"][wanted] - d[name][wanted] for d in draws["d"]]
            x, y = guessed[name][here], reached[wanted][here]
            correlations.setdefault(wanted, {})[name] = {
                "spearman": _number(table[name][wanted]),
                "measured_ci": _ends([d[name][wanted] for d in draws["m"]]),
                "degradations_ci": _ends([d[name][wanted] for d in draws["d"]]),
                "cosine_is_better_by": _number(
                    table["cosine"][wanted] - table[name][wanted]
                ),
                "cosine_is_better_by_ci": _ends(gap),
                "within_levels": _number(within(x, y, pairs.level[here])),
                "within_degradations": _number(within(x, y, pairs.name[here])),
            }
    points = []
    for row, one in enumerate(pairs.similar):
        gains = before[:, pairs.level[row]] - pairs.end[row][:, :, pairs.level[row]]
        around = paired_difference(gains, 1 - CONFIDENCE)
        scale = pairs.golden_gain[pairs.level[row]].mean
        points.append(
            {
                "degradation": one["degradation"],
                "sigma": one["sigma"],
                "used": bool(use[row]),
                "cosine_ci": one["raw"]["ci"],
                "predicted": {k: _number(v[row]) for k, v in guessed.items()},
                "achieved": {k: _number(v[row]) for k, v in reached.items()},
                "share_ci": [around.low / scale, around.high / scale],
                "share_at_half_of_look_ahead": pairs.early[row],
            }
        )
    return {
        "seeds": len(seeds),
        "held_out_clips": len(clips),
        "pairs": len(use),
        "pairs_used": int(use.sum()),
        "start_loss": before.mean(0).tolist(),
        "golden_gain": [[g.mean, g.low, g.high] for g in pairs.golden_gain],
        "correlations": correlations,
        "share_by_cosine": _by_cosine(
            guessed["cosine"][here], reached["share of golden gain"][here]
        ),
        "points": points,
    }


def _early_shares(
    predicted: list[dict[str, Any]],
    before: np.ndarray,
    trials: dict[str, list[dict[str, Any]]],
    levels: list[float],
) -> list[float | None]:
    """Return the share of golden gain at half of the look-ahead; None: not kept."""
    found = []
    for row in predicted:
        level = levels.index(row["sigma"])
        names = f"{row['degradation']} {row['sigma']:g}", f"golden {row['sigma']:g}"
        runs, golden = (trials[name] for name in names)
        if not all("early" in run for run in (*runs, *golden)):
            found.append(None)
            continue
        own, best = (
            (before - np.array([run["early"] for run in some], float))[
                ..., level
            ].mean()
            for some in (runs, golden)
        )
        found.append(_number(own / best))
    return found


def _known_mean(values: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Average over some seeds what is known; over all seeds where they know nothing."""
    known = np.isfinite(values)
    some = known[:, seeds].any(1)
    part = np.where(some[:, None], known[:, seeds], False)
    total = np.where(part, values[:, seeds], 0).sum(1) / np.maximum(part.sum(1), 1)
    whole = np.where(known, values, 0).sum(1) / np.maximum(known.sum(1), 1)
    return np.where(some, total, np.where(known.any(1), whole, np.nan))


def _by_cosine(cosines: np.ndarray, shares: np.ndarray) -> list[dict[str, Any]]:
    """Say what was achieved by pairs of some cosine: lowest, median, highest share."""
    found = []
    for low, high in itertools.pairwise(CUTS):
        some = shares[(cosines >= low) & (cosines < high)]
        if len(some):
            ends = np.quantile(some, [0, 0.5, 1]).tolist()
            row = {"cosine": [low, high], "pairs": len(some), "share": ends}
            found.append(row | {"at_least_half": int((some >= 0.5).sum())})
    return found


def _table(
    predicted: dict[str, np.ndarray], achieved: dict[str, np.ndarray], rows: np.ndarray
) -> dict[str, dict[str, float]]:
    return {
        name: {wanted: spearman(x[rows], y[rows]) for wanted, y in achieved.items()}
        for name, x in predicted.items()
    }


def _ends(values: list[float]) -> list[float] | None:
    known = np.array(values, float)
    known = known[np.isfinite(known)]
    if not len(known):
        return None
    return [float(end) for end in np.quantile(known, [0.025, 0.975])]
