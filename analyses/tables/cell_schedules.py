"""Any density of class and level as a schedule: a joint mixture of narrow cells.

Rules that say how often a class is trained at a level (the SANA-Video rule, gates) are
written as tables of cells; the `mixture` sampler draws from them, and no sampler of
their own is needed. A gate accepts a clip at a level with a probability and draws
another clip *and* level if it does not, so that levels at which nothing is accepted are
trained less; a floor under it keeps every class at every level now and then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import isotonic_regression

from tqd_probe.core.noise import logsnr
from tqd_probe.probing.result import ProbeResult, as_array
from tqd_probe.schedules.band_schedule import BandSchedule

CELLS = 50
CENTRES = (np.arange(CELLS) + 0.5) / CELLS


def cells_schedule(
    model: dict[str, Any], counts: dict[str, int], mass: np.ndarray, rule: str
) -> BandSchedule:
    """Write a density of class and level as a schedule.

    Args:
        model: What a schedule states about its checkpoint.
        counts: Clips of each class in the set, golden first.
        mass: Share of training of each cell and class ``[CELLS, classes]``.
        rule: What the rule is, for the provenance.

    Returns:
        The schedule, a joint mixture.
    """
    nothing = [None] * CELLS
    total = mass.sum(1, keepdims=True)
    pooled = np.array(list(counts.values()), float) / sum(counts.values())
    weights = np.divide(mass, total, where=total > 0, out=np.tile(pooled, (CELLS, 1)))
    return BandSchedule.model_validate(
        {
            "format": "tqd-band-schedule",
            "version": 1,
            "provenance": {"tool_version": "0", "argv": [rule], "seed": 0},
            "model": model,
            "noise": {
                "axis": "sigma",
                "shift": 1.0,
                "levels": CENTRES.tolist(),
                "logsnr": logsnr(CENTRES).tolist(),
            },
            "criterion": {
                "name": "mixture",
                "cos_min": 0.9,
                "norm_range": [0.5, 2.0],
                "confidence": 0.95,
            },
            "golden": {
                "clips": 2,
                "draws": 1,
                "snr": nothing,
                "resolved": [False] * CELLS,
            },
            "classes": {},
            "mixture": {
                "classes": list(counts),
                "pool": counts,
                "weights": weights.tolist(),
                "form": "joint",
                "level_density": (total[:, 0] / total.sum()).tolist(),
            },
        }
    )


def gate_mass(
    accept: dict[str, np.ndarray],
    counts: dict[str, int],
    floor: float,
    level: np.ndarray,
) -> np.ndarray:
    """Return the density of a gate over draws of a clip, uniform, and a level.

    Args:
        accept: Probability of accepting a clip in each cell, by class ``[CELLS]``;
            golden clips are always accepted.
        counts: Clips of each class in the set.
        floor: Least probability.
        level: How often each cell is drawn ``[CELLS]``; equal numbers: uniform.

    Returns:
        Share of training ``[CELLS, classes]``, summing to 1.
    """
    columns = [
        counts[name] * np.maximum(accept.get(name, np.ones(CELLS)), floor)
        for name in counts
    ]
    mass = np.stack(columns, 1) * level[:, None]
    return mass / mass.sum()


def in_bands(schedule: BandSchedule) -> dict[str, np.ndarray]:
    """Return 1 where a cell's centre lies in a band of the class, else 0."""
    found = {}
    for name, curves in schedule.measured_classes().items():
        inside = [(low <= CENTRES) & (high >= CENTRES) for low, high in curves.bands]
        found[name] = np.any(inside, 0).astype(float) if inside else np.zeros(CELLS)
    return found


def by_worth(
    result: ProbeResult, worth: Callable[[np.ndarray], np.ndarray]
) -> dict[str, np.ndarray]:
    """Return the share of golden's gain that each class is expected to bring.

    Args:
        result: The result of a probe.
        worth: Share expected at a cosine (`worth_curve`).

    Returns:
        Shares in [0, 1] by class ``[CELLS]``; 0 at levels without a cosine.
    """
    levels = np.array(result.noise.levels)
    found = {}
    for name, curves in result.subjects.items():
        if curves.kind == "class":
            cosine = as_array(curves.cosine)
            share = np.where(np.isfinite(cosine), worth(np.nan_to_num(cosine)), 0.0)
            found[name] = np.interp(CENTRES, levels, share)
    return found


def by_signal(result: ProbeResult) -> np.ndarray:
    """Return how much golden clips have to teach at each level: their gradient's norm.

    Args:
        result: The result of a probe.

    Returns:
        ``sqrt(U_gg)`` over its largest value, at least a quarter ``[CELLS]``.
    """
    signal = np.maximum(as_array(result.golden.signal), 0)
    share = np.sqrt(np.nan_to_num(signal) / np.nanmax(signal))
    return np.interp(CENTRES, result.noise.levels, np.maximum(share, 0.25))


def worth_curve(points: list[dict[str, Any]]) -> Callable[[np.ndarray], np.ndarray]:
    """Fit the share of golden's gain achieved as a rising function of the cosine.

    Isotonic regression (pool adjacent violators) over the pairs of degradation and
    level of `similarity_worth.py`, and golden itself: share 1 at cosine 1.

    Args:
        points: ``points`` of its results.

    Returns:
        Maps cosines to shares in [0, 1], linear between pairs.
    """
    pairs = sorted(
        (p["predicted"]["cosine"], p["achieved"]["share of golden gain"])
        for p in points
        if p["used"]
    )
    x = np.array([min(cosine, 1.0) for cosine, _ in pairs] + [1.0])
    y = isotonic_regression(np.array([share for _, share in pairs] + [1.0])).x
    return lambda cosine: np.clip(np.interp(cosine, x, y), 0.0, 1.0)
