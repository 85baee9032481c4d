"""Mixture weights: the shares of classes whose mixed gradient is nearest golden.

For weights w on the simplex the expected squared error of a mixed gradient is

    risk(w) = || sum_k w_k mu_k - sum_k p_k mu_k ||^2 + sum_kl w_k w_l C_kl / n_k

bias against variance: mu_k are the mean gradients of the components (a class, or a
class at a noise level), p the golden target, C_kk the variance of one training sample's
gradient, C_kl the covariance of two components that have the same clips (a class at two
levels; else 0) and n_k the clips of the class in the user's data. Only inner products
of the means are needed, from the debiased Gram matrix. Experimental: what matches
golden to first order at one point need not train best.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import nnls
from scipy.stats import beta as beta_distribution

from tqd_probe.core.clip_classes import (
    BOTH_DEGRADED,
    GOLDEN,
    MOTION_DEGRADED,
    VISUAL_DEGRADED,
)
from tqd_probe.core.quality_beta import (
    KAPPA_BASE,
    beta_parameters,
    keep_probability,
)
from tqd_probe.statistics.semidefinite import positive_part

# Motion and visual quality that stand for a class in the paper's sampler.
QUALITY = {
    GOLDEN: (1.0, 1.0),
    VISUAL_DEGRADED: (0.9, 0.1),
    MOTION_DEGRADED: (0.1, 0.9),
    BOTH_DEGRADED: (0.1, 0.1),
}
COMPARED_KAPPA_MAX = 4.0
ADMITTED = 1e-6  # a weight below this is rounding


@dataclass(frozen=True)
class MixtureProblem:
    """What the risk of a mixture is computed from.

    Attributes:
        products: Inner products of the components' mean gradients ``[K, K]``,
            debiased, so chance may make it indefinite.
        noise: Variance of one sample's gradient over clips in the data, ``C_kk / n_k``
            ``[K]``; infinite for a component the data do not have.
        target: Golden shares p ``[K]``, zero except at golden components.
        correlation: Of the errors of components' means ``[K, K]``; None if they are
            independent.
    """

    products: np.ndarray
    noise: np.ndarray
    target: np.ndarray
    correlation: np.ndarray | None = None

    def covariance(self) -> np.ndarray:
        """Return the covariance of the errors of components' means.

        Returns:
            ``[K, K]``; 0 for a component the data do not have.
        """
        error = np.sqrt(np.where(np.isfinite(self.noise), self.noise, 0.0))
        if self.correlation is None:
            return np.diag(error**2)
        return self.correlation * error[:, None] * error


@dataclass(frozen=True)
class MixtureSolution:
    """The best mixture.

    Attributes:
        weights: On the simplex ``[K]``.
        risk: Its predicted squared error.
        repair: What was added to the products' eigenvalues to make them positive
            semidefinite: the size of the most negative one, 0 where none was.
    """

    weights: np.ndarray
    risk: float
    repair: float


def risk(problem: MixtureProblem, weights: np.ndarray) -> float:
    """Predict the squared error of a mixed gradient.

    Args:
        problem: The components; its products are taken as they are.
        weights: Any weights ``[K]``.

    Returns:
        Bias plus variance; infinite where a missing component has weight.
    """
    gap = weights - problem.target
    if not np.isfinite(problem.noise[weights > 0]).all():
        return float("inf")
    variance = weights @ problem.covariance() @ weights
    return float(gap @ problem.products @ gap + variance)


def minimise_risk(problem: MixtureProblem, floor: float = 0.0) -> MixtureSolution:
    """Find the mixture of least predicted error: a quadratic programme on the simplex.

    On the simplex the risk is a form ``w' M w``. Its minimum is that of the
    nonnegative least squares ``|| sqrt(M) x ||^2 + (1 - sum x)^2`` scaled to sum 1,
    which Lawson and Hanson's active-set method finds exactly.

    Args:
        problem: The components.
        floor: Least share of every component admitted: golden ones of the target, and
            those that have a weight without a floor.

    Returns:
        The solution.

    Raises:
        ValueError: If no component is in the data or the floor leaves nothing.
    """
    products, repair = positive_part(problem.products)
    sound = replace(problem, products=products)
    present = np.isfinite(problem.noise)
    if not present.any():
        raise ValueError("no component is in the data")
    weights = _simplex_minimum(sound, present, np.zeros(len(present)))
    if floor > 0:
        admitted = present & ((weights > ADMITTED) | (problem.target > 0))
        if floor * admitted.sum() > 1:
            raise ValueError(f"a floor of {floor:g} for {admitted.sum()} components")
        weights = _simplex_minimum(sound, admitted, floor * admitted)
    return MixtureSolution(weights, risk(sound, weights), repair)


def _simplex_minimum(
    problem: MixtureProblem, present: np.ndarray, least: np.ndarray
) -> np.ndarray:
    """Minimise over weights of at least `least` on the components present."""
    kept = np.flatnonzero(present)
    count, free = len(kept), 1.0 - least.sum()
    if free < 1e-12:
        return least
    size = len(problem.target)
    # w = least + free y with y on the simplex, so w = T y.
    move = free * np.eye(size)[:, kept] + least[:, None]
    gap = move - problem.target[:, None]
    form = gap.T @ problem.products @ gap + move.T @ problem.covariance() @ move
    scale = np.trace(form) / count
    if scale <= 0:
        return least + free * np.eye(size)[:, kept].mean(1)
    values, vectors = np.linalg.eigh(form / scale)
    root = np.sqrt(np.maximum(values, 0))[:, None] * vectors.T
    system = np.vstack([root, np.ones(count)])
    found, _ = nnls(system, np.append(np.zeros(count), 1.0))
    weights = least.copy()
    weights[kept] += free * found / found.sum()
    return weights


def pooled_weights(clips: np.ndarray) -> np.ndarray:
    """Return the weights of uniform pooling: every clip counts the same.

    Args:
        clips: Clips of each class in the data ``[K]``.

    Returns:
        Weights ``[K]``.
    """
    return np.asarray(clips / clips.sum())


def beta_weights(
    classes: list[str], clips: np.ndarray, sigmas: np.ndarray
) -> np.ndarray:
    """Return the weights per level that the paper's sampler gives (arXiv 2603.25527).

    The formula is in `tqd_probe.core.quality_beta`, with a uniform base density and
    `COMPARED_KAPPA_MAX`; each class stands for clips of the quality in `QUALITY`.

    Args:
        classes: Names ``[K]``.
        clips: Clips of each class in the data ``[K]``.
        sigmas: Noise levels ``[L]``.

    Returns:
        Weights ``[L, K]``, rows summing to 1.
    """
    columns = []
    for name, number in zip(classes, clips):
        motion, visual = QUALITY[name]
        alpha, beta = beta_parameters(
            motion, visual, KAPPA_BASE["uniform"], COMPARED_KAPPA_MAX
        )
        density = beta_distribution.pdf(sigmas, alpha, beta)
        columns.append(number * keep_probability(motion, visual) * density)
    table = np.stack(columns, 1)
    return np.asarray(table / table.sum(1, keepdims=True))
