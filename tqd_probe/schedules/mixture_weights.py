"""The schedule's mixture, from moments: weights, intervals, risks, fits.

Two forms. ``per-level`` matches the golden gradient of every level by itself and leaves
the density of sigma alone. ``joint`` weighs class x level together against the golden
gradient summed over levels, so that a level at which nothing is good is trained less.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import norm

from tqd_probe.core.errors import InputError
from tqd_probe.core.files import finite_or_none
from tqd_probe.core.noise import shift_sigma, timestep_edges, unshift_sigma
from tqd_probe.core.rng import stream
from tqd_probe.schedules.bands import Band, cell_edges
from tqd_probe.schedules.fits import fit_density
from tqd_probe.statistics.intervals import student_quantile
from tqd_probe.statistics.mixture import (
    ADMITTED,
    MixtureProblem,
    beta_weights,
    minimise_risk,
    pooled_weights,
    risk,
)
from tqd_probe.statistics.moments import Moments
from tqd_probe.statistics.semidefinite import positive_part

BOOTSTRAP_DRAWS = 300  # of the parametric bootstrap of weights


@dataclass(frozen=True)
class MixtureOptions:
    """Settings of a mixture.

    Attributes:
        form: ``per-level`` or ``joint``.
        pool: Clips of each class in the user's data.
        floor: Least share of every admitted class.
        confidence: Of the weights' intervals.
        seed: Run seed.
        shift: Timestep shift that spaced the levels.
        span: Lowest and highest level of the network.
        timesteps: Levels of the timesteps that the family trains uniformly, rising
            ``[T]``; None for flow matching, which is taken as uniform before the shift.
    """

    form: str
    pool: dict[str, int]
    floor: float
    confidence: float
    seed: int
    shift: float
    span: Band = (0.0, 1.0)
    timesteps: np.ndarray | None = None


def level_shares(
    levels: np.ndarray,
    shift: float,
    span: Band = (0.0, 1.0),
    timesteps: np.ndarray | None = None,
) -> np.ndarray:
    """Return the share of training of each level: the width of its cell in u.

    Cells end half way between levels before the shift; of a family with discrete
    timesteps their share is that of the timesteps in them.

    Args:
        levels: Noise levels, rising ``[L]``.
        shift: Timestep shift.
        span: Lowest and highest level of the network.
        timesteps: Levels of the family's timesteps, rising ``[T]``.

    Returns:
        Shares summing to 1 ``[L]``.
    """
    ends = unshift_sigma(np.array(span), shift)
    edges = cell_edges(unshift_sigma(levels, shift), (float(ends[0]), float(ends[1])))
    if timesteps is not None:
        steps = timestep_edges(timesteps)
        places = shift_sigma(edges, shift)
        edges = np.interp(places, steps, np.linspace(0, 1, len(steps)))
    return np.diff(edges) / (edges[-1] - edges[0])


def check_mixture_options(
    classes: list[str], pool: dict[str, int], floor: float
) -> None:
    """Refuse options that do not fit a mixture of these classes.

    Args:
        classes: Names, golden first.
        pool: Clips of each class in the user's data.
        floor: Least share of every admitted class.

    Raises:
        InputError: If a probed class has no pool size, or the floor is too large.
    """
    missing = [name for name in classes if name not in pool]
    if missing:
        raise InputError(
            f"--pool: {missing[0]} is missing; say how many clips of it the data have,"
            f" as in {missing[0]}=1000 (0 for none)"
        )
    if floor * len(classes) > 1:
        raise InputError(
            f"--floor {floor:g}: {len(classes)} classes cannot each have that"
            f" share; give at most {1 / len(classes):.3g}"
        )


def solve_mixture(
    classes: list[str],
    levels: np.ndarray,
    resolved: np.ndarray,
    moments: list[Moments],
    options: MixtureOptions,
) -> dict[str, Any]:
    """Find the mixture with intervals of its weights and its predicted risk.

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
    check_mixture_options(classes, options.pool, options.floor)
    clips = np.array([options.pool[name] for name in classes], float)
    mass = level_shares(levels, options.shift, options.span, options.timesteps)
    joint = options.form == "joint"
    # One problem for all levels, or one for each.
    every = np.arange(len(levels))
    parts: list[np.ndarray] = [every] if joint else list(every[:, None])
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
        answer = minimise_risk(problem, least)
        solved = np.stack([minimise_risk(each, least).weights for each in draws])
        found = answer.weights.reshape(rows)
        drawn = solved.reshape(-1, *rows)
        shares[part] = found
        bounds[part] = bias_corrected(
            _within_level(drawn), _within_level(found), options.confidence
        )
        density[part] = bias_corrected(drawn.sum(-1), found.sum(-1), options.confidence)
        repairs.append(answer.repair)
        sound = replace(problem, products=positive_part(problem.products)[0])
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
    # A level that is never drawn gets golden weight, so that its row sums to 1.
    conditional = np.where(
        level_share[:, None] > 0, _within_level(shares), np.eye(len(classes))[0]
    )
    if not joint:
        level_share, density = mass, np.stack([mass, mass], -1)
    scale = level_share / level_shares(levels, options.shift, options.span)
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
        "risk": {
            name: [finite_or_none(row[name]) for row in risks] for name in risks[0]
        },
        "psd_repair": [float(value) for value in repairs],
        "fits": {
            name: fit_density(
                levels, scale * conditional[:, k], options.span, options.shift
            )
            for k, name in enumerate(classes)
        },
    }


def bias_corrected(
    draws: np.ndarray, estimates: np.ndarray, confidence: float
) -> np.ndarray:
    """Return bias-corrected percentile intervals (Efron, 1981).

    Args:
        draws: Bootstrap values ``[B, ...]``; NaN where undefined.
        estimates: The estimates ``[...]``.
        confidence: Of the intervals.

    Returns:
        Lower and upper bounds ``[..., 2]``; NaN where no draw is defined.
    """
    tail = norm.ppf([(1 - confidence) / 2, (1 + confidence) / 2])
    bounds = np.full((*estimates.shape, 2), np.nan)
    for index in np.ndindex(estimates.shape):
        values = draws[(slice(None), *index)]
        values = values[np.isfinite(values)]
        if not len(values) or not np.isfinite(estimates[index]):
            continue
        gap = values - estimates[index]
        ties = np.abs(gap) < ADMITTED  # many weights are exactly 0
        below = ((gap < 0) & ~ties).mean() + ties.mean() / 2
        shift = norm.ppf(np.clip(below, 0.5 / len(values), 1 - 0.5 / len(values)))
        bounds[index] = np.quantile(values, norm.cdf(2 * shift + tail))
    return bounds


def _within_level(shares: np.ndarray) -> np.ndarray:
    """Scale shares of classes to sum 1 at each level; NaN where all are 0."""
    total = shares.sum(-1, keepdims=True)
    return np.divide(shares, total, out=np.full_like(shares, np.nan), where=total > 0)


def _problem(
    moments: Moments,
    clips: np.ndarray,
    mass: np.ndarray,
    resolved: np.ndarray,
    options: MixtureOptions,
    purpose: str,
) -> tuple[MixtureProblem, list[MixtureProblem]]:
    """Build the problem of some levels, and draws of its parametric bootstrap."""
    size, levels = len(clips), len(mass)
    target = np.zeros(levels * size)
    target[::size] = mass
    with np.errstate(divide="ignore"):
        share = np.where(clips > 0, 1 / clips, np.inf)
    share = np.tile(share, levels)
    # Unresolved levels: golden alone.
    golden_only = np.repeat(~resolved, size) & (np.arange(levels * size) % size != 0)

    def build(products: np.ndarray, variances: np.ndarray) -> MixtureProblem:
        # A variance cannot be negative; its estimate can.
        with np.errstate(invalid="ignore"):
            noise = np.where(
                np.isfinite(share), np.maximum(variances, 0) * share, np.inf
            )
        noise = np.where(golden_only, np.inf, noise)
        return MixtureProblem(products, noise, target, correlation)

    products, variances = moments.products(), moments.variances()
    correlation = moments.correlations(size) if levels > 1 else None
    moved_products, moved_variances = moments.jackknife()
    rng = stream(options.seed, "mixture", purpose)
    normals = rng.standard_normal((BOOTSTRAP_DRAWS, len(moved_products)))
    # With few clips wider, by the ratio of Student's quantile to the normal one.
    fewest = int(moments.member.sum(0).min())
    normals *= student_quantile(fewest, options.confidence) / norm.ppf(
        (1 + options.confidence) / 2
    )
    draws = [
        build(
            products + np.tensordot(normal, moved_products, 1),
            variances + normal @ moved_variances,
        )
        for normal in normals
    ]
    return build(products, variances), draws


def _pair(bounds: np.ndarray) -> list[float] | None:
    """Return an interval of a share, or None where no draw has any."""
    if not np.isfinite(bounds).all():
        return None
    return [float(x) for x in np.clip(bounds, 0, 1)]
