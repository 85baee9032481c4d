"""From moments to the schedule's mixture: weights, intervals, risks, fits.

Two forms. ``per-level`` matches the golden gradient of every level by itself and leaves
the density of sigma alone. ``joint`` weighs class x level together against the golden
gradient summed over levels, so that a level at which nothing is good is trained less.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tqd_probe.bands import fit_density
from tqd_probe.errors import InputError
from tqd_probe.mixture import (
    Problem,
    beta_weights,
    pooled_weights,
    positive_part,
    risk,
    solve,
)
from tqd_probe.moments import Moments
from tqd_probe.noise import unshift_sigma
from tqd_probe.rng import stream

DRAWS = 400  # of the parametric bootstrap of weights


@dataclass(frozen=True)
class MixtureOptions:
    """How a mixture is asked for.

    Attributes:
        form: ``per-level`` or ``joint``.
        pool: Clips of each class in the user's data.
        floor: Least share of every admitted class.
        confidence: Of the weights' intervals.
        seed: Run seed.
        shift: Timestep shift the levels were laid by.
    """

    form: str
    pool: dict[str, int]
    floor: float
    confidence: float
    seed: int
    shift: float


def level_mass(levels: np.ndarray, shift: float) -> np.ndarray:
    """Return the share of training that falls to each level: its cell before the shift.

    Args:
        levels: Noise levels, rising ``[L]``.
        shift: Timestep shift.

    Returns:
        Shares summing to 1 ``[L]``.
    """
    u = unshift_sigma(levels, shift)
    edges = np.concatenate([[0.0], (u[1:] + u[:-1]) / 2, [1.0]])
    return np.diff(edges)


def measure_mixture(
    classes: list[str],
    levels: np.ndarray,
    resolved: np.ndarray,
    moments: list[Moments],
    options: MixtureOptions,
) -> dict[str, Any]:
    """Find the mixture and say what it is expected to cost.

    At a level where golden gradients are not resolved nothing can be matched: there
    only golden clips get weight.

    Args:
        classes: Names, golden first ``[K]``.
        levels: Noise levels ``[L]``.
        resolved: Whether golden gradients are resolved ``[L]``.
        moments: Moments per level; or, for the joint form, one of all levels.
        options: What was asked for.

    Returns:
        The schedule's ``mixture``.

    Raises:
        InputError: If a probed class has no pool size, or the floor is too large.
    """
    missing = [name for name in classes if name not in options.pool]
    if missing:
        raise InputError(
            f"--pool: {missing[0]} is missing; say how many clips of it the data have,"
            f" as in {missing[0]}=1000 (0 for none)"
        )
    if options.floor * len(classes) > 1:
        raise InputError(
            f"--floor {options.floor:g}: {len(classes)} classes cannot each have that"
            f" share; give at most {1 / len(classes):.3g}"
        )
    clips = np.array([options.pool[name] for name in classes], float)
    mass = level_mass(levels, options.shift)
    joint = options.form == "joint"
    # One problem for all levels, or one for each.
    parts = [np.arange(len(levels))] if joint else [[i] for i in range(len(levels))]
    shares = np.zeros((len(levels), len(classes)))
    bounds = np.zeros((*shares.shape, 2))
    density = np.zeros((len(levels), 2))
    repairs, risks = [], []
    beta = beta_weights(classes, clips, levels)
    for index, (part, some) in enumerate(zip(parts, moments)):
        known = resolved[part]
        part_mass = mass[part] / mass[part].sum()
        problem, draws = _problem(
            some, clips, part_mass, known, options, f"{options.form} {index}"
        )
        rows = (len(part), len(classes))
        least = options.floor / len(part)
        answer = solve(problem, least)
        solved = np.stack([solve(each, least).weights for each in draws])
        found = answer.weights.reshape(rows)
        drawn = solved.reshape(-1, *rows)
        shares[part] = found
        tail = (1 - options.confidence) / 2
        quantiles = [tail, 1 - tail]
        with np.errstate(invalid="ignore", divide="ignore"):
            inside = drawn / drawn.sum(-1, keepdims=True)
        total = drawn.sum(-1)
        bounds[part] = np.moveaxis(np.nanquantile(inside, quantiles, axis=0), 0, -1)
        density[part] = np.moveaxis(np.quantile(total, quantiles, axis=0), 0, -1)
        repairs.append(answer.repair)
        sound = Problem(
            positive_part(problem.products)[0], problem.noise, problem.target
        )
        plain = {
            "pooled": np.tile(pooled_weights(clips), (len(part), 1)),
            "beta": beta[part],
        }
        for k, name in enumerate(classes):
            plain[name] = np.eye(len(classes))[k][None].repeat(len(part), 0)
        row = {"mixture": answer.risk}
        for name, weights in plain.items():
            row[name] = risk(sound, (weights * part_mass[:, None]).ravel())
        risks.append(row)
    level_share = shares.sum(1)
    empty = level_share <= 0
    conditional = np.where(
        empty[:, None],
        np.eye(len(classes))[0],  # never drawn; golden, so that the row is whole
        shares / np.where(empty, 1, level_share)[:, None],
    )
    if not joint:
        level_share, density = mass, np.stack([mass, mass], -1)
    scale = level_share / mass
    return {
        "classes": classes,
        "pool": {name: options.pool[name] for name in classes},
        "weights": conditional.tolist(),
        "form": options.form,
        "floor": options.floor,
        "weights_ci": [[_pair(pair) for pair in row] for row in bounds],
        "level_density": level_share.tolist(),
        "level_density_ci": [_pair(pair) for pair in density],
        "resolved": resolved.tolist(),
        "risk": {name: [_finite(row[name]) for row in risks] for name in risks[0]},
        "psd_repair": [float(value) for value in repairs],
        "fits": {
            name: fit_density(levels, scale * conditional[:, k])
            for k, name in enumerate(classes)
        },
    }


def _problem(
    moments: Moments,
    clips: np.ndarray,
    mass: np.ndarray,
    resolved: np.ndarray,
    options: MixtureOptions,
    purpose: str,
) -> tuple[Problem, list[Problem]]:
    """Build the problem of some levels, and what other clips might have made of it."""
    size, levels = len(clips), len(mass)
    target = np.zeros(levels * size)
    target[::size] = mass
    with np.errstate(divide="ignore"):
        share = np.where(clips > 0, 1 / clips, np.inf)
    share = np.tile(share, levels)
    # Unresolved levels: golden alone.
    closed = np.repeat(~resolved, size) & (np.arange(levels * size) % size != 0)

    def build(products: np.ndarray, variances: np.ndarray) -> Problem:
        # A variance cannot be negative; its estimate can.
        with np.errstate(invalid="ignore"):
            noise = np.where(
                np.isfinite(share), np.maximum(variances, 0) * share, np.inf
            )
        return Problem(products, np.where(closed, np.inf, noise), target)

    products, variances = moments.products(), moments.variances()
    moved_products, moved_variances = moments.jackknife()
    rng = stream(options.seed, "mixture", purpose)
    coins = rng.standard_normal((DRAWS, len(moved_products)))
    draws = [
        build(
            products + np.tensordot(coin, moved_products, 1),
            variances + coin @ moved_variances,
        )
        for coin in coins
    ]
    return build(products, variances), draws


def _pair(bounds: np.ndarray) -> list[float] | None:
    """Return an interval of a share, or None where no draw has any."""
    if not np.isfinite(bounds).all():
        return None
    return [float(x) for x in np.clip(bounds, 0, 1)]


def _finite(value: float) -> float | None:
    """Return a number, or None for a class that the data do not have."""
    return float(value) if np.isfinite(value) else None
