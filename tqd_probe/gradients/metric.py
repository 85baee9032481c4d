"""Inner products of gradients: plain, as Adam's steps weigh them, or by curvature.

With ``s_j`` the root mean square of entry j over golden gradients, the inner product is
``<a, b> = sum_j a_j b_j / s_j^(2 p)``. Gradients divided by ``s_j^p`` have it as their
plain inner product.

- *raw*, p = 0.
- *Adam's*, p = 1/2: Adam moves along ``g / s`` (Kingma and Ba, 2015), so that a step
  for one clip changes the loss of another by ``<a, b>`` to first order.
- *Fisher*, p = 1: the inverse of the diagonal empirical Fisher, in which the distance
  of two gradients is what long training on one costs the other in a quadratic model.

Second moments are estimates, and an entry that golden clips hardly move has a tiny
one: divided by it, a few such entries would decide every product. So s is *damped*:
`DAMPING` times the median of s over the entries is added to it. Constant factors of the
moments cancel in cosines and norm ratios.

Whole gradients have a second moment per entry. Where gradients are sketched, a number
per entry would mean forming each layer's gradient, and moments are *factored* as in
Adafactor (Shazeer and Stern, 2018): of a matrix the means r of its rows and c of its
columns are kept, and ``v_ij = r_i c_j / mean(r)``. The factor of a gradient is then one
of the row times one of the column, which apply to the two factors ``sum_t g_t x_t^T``
is made of (`sketch.py`). Damping keeps that form, each of the three roots by the same
d: ``s_ij = (sqrt(r_i) + d) (sqrt(c_j) + d) / (sqrt(mean(r)) + d)``. Where a row or a
column is an average one, s is the damped root of the other, as without factors; where
both are small, damping is weaker. A vector is a matrix of one column, and its moments
are full.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from tqd_probe.core.errors import GradientError
from tqd_probe.gradients.layout import Layout

POWERS = {"adam": 0.5, "fisher": 1.0}  # p
DAMPING = 0.1  # of the median root mean square
QUANTILES = 256  # of a factor, where it has more entries, for the median of products
BISECTIONS = 24  # of the median of a factored metric: to 1e-6
NO_MOMENTS = (
    "all second moments of golden gradients are zero; check the checkpoint's weights,"
    " or use --metric raw"
)


class Metric(Protocol):
    """Factors of gradients, which give them the metric's inner product."""

    def scaled(self, name: str, gradients: Tensor) -> Tensor:
        """Multiply gradients of a parameter.

        Args:
            name: Parameter name.
            gradients: ``[B, *shape]``.

        Returns:
            The same shape and type.
        """
        ...


@dataclass(frozen=True)
class FullMetric:
    """A factor per entry.

    Attributes:
        layout: The parameters.
        scale: The factors ``[layout.size]``, float32.
    """

    layout: Layout
    scale: Tensor

    def scaled(self, name: str, gradients: Tensor) -> Tensor:
        """Multiply gradients of a parameter.

        Args:
            name: Parameter name.
            gradients: ``[B, *shape]``.

        Returns:
            The same shape and type.
        """
        start, stop = self.layout.parameters[name]
        factors = self.scale[start:stop].view(self.layout.shapes[name])
        return gradients * factors.to(gradients)


@dataclass(frozen=True)
class FactoredMetric:
    """A factor per row and one per column of every parameter, as a matrix.

    Attributes:
        layout: The parameters.
        rows: Factors of rows ``[out]`` by parameter, float32.
        columns: Factors of columns ``[in]`` by parameter, float32 with the digits of
            bfloat16: a projection of signs times them is exact in every type.
    """

    layout: Layout
    rows: dict[str, Tensor]
    columns: dict[str, Tensor]

    def scaled(self, name: str, gradients: Tensor) -> Tensor:
        """Multiply gradients of a parameter.

        Args:
            name: Parameter name.
            gradients: ``[B, *shape]``.

        Returns:
            The same shape and type.
        """
        matrix = gradients.reshape(-1, *matrix_shape(self.layout.shapes[name]))
        rows, columns = self.rows[name], self.columns[name]
        found = matrix * rows.to(matrix)[:, None] * columns.to(matrix)
        return found.reshape(gradients.shape)

    def entry_factors(self, name: str) -> np.ndarray:
        """Return the factors of a parameter that is small enough.

        Args:
            name: Parameter name.

        Returns:
            float32 ``[out * in]``.
        """
        rows, columns = self.rows[name].cpu(), self.columns[name].cpu()
        return torch.outer(rows, columns).flatten().numpy()


def matrix_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the shape of a parameter as a matrix.

    Args:
        shape: Shape of the parameter.

    Returns:
        Outputs, and inputs with the kernel of a convolution; a vector has one column.
    """
    return (shape[0] if shape else 1), math.prod(shape[1:])


def full_metric(
    layout: Layout, moments: Tensor, power: float, device: torch.device
) -> FullMetric:
    """Make the metric of full second moments.

    Args:
        layout: The parameters.
        moments: Second moments ``[layout.size]``.
        power: p.
        device: Where gradients are.

    Returns:
        Factors ``(s + d) ** -p``, with s the root of the moments and d their damping.

    Raises:
        GradientError: If all moments are zero.
    """
    root = moments.double().sqrt()
    known = root[root > 0].numpy()
    if not len(known):
        raise GradientError(NO_MOMENTS)
    damping = DAMPING * float(np.median(known))
    scale = (root + damping) ** -power
    return FullMetric(layout, scale.float().to(device))


def factored_metric(
    layout: Layout, moments: Tensor, power: float, device: torch.device
) -> FactoredMetric:
    """Make the metric of factored second moments.

    Args:
        layout: The parameters.
        moments: Means of rows and of columns of every parameter, one after another
            (`second_moments.factored_squares`), ``[factored_size(layout)]``.
        power: p.
        device: Where gradients are.

    Returns:
        Factors of rows and columns.
    """
    sizes = [n for shape in layout.shapes.values() for n in matrix_shape(shape)]
    roots = [part.numpy() for part in moments.double().sqrt().split(sizes)]
    pairs = dict(zip(layout.parameters, zip(roots[::2], roots[1::2])))
    means = {name: math.sqrt(np.mean(r**2)) for name, (r, _) in pairs.items()}
    damping = DAMPING * _median(
        [(r, c / means[name]) for name, (r, c) in pairs.items() if means[name] > 0]
    )

    def factors(values: np.ndarray) -> Tensor:
        return torch.from_numpy(values**-power).float()

    rows = {name: factors(r + damping) for name, (r, _) in pairs.items()}
    columns = {
        name: factors((c + damping) / (means[name] + damping)).bfloat16().float()
        for name, (_, c) in pairs.items()
    }
    return FactoredMetric(
        layout,
        {name: part.to(device) for name, part in rows.items()},
        {name: part.to(device) for name, part in columns.items()},
    )


def factored_size(layout: Layout) -> int:
    """Return how many numbers factored second moments take.

    Args:
        layout: The parameters.

    Returns:
        Rows and columns of all of them.
    """
    return sum(sum(matrix_shape(shape)) for shape in layout.shapes.values())


def _median(products: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """Return the median of the positive entries of outer products, by bisection.

    Args:
        products: Factors of each product; none is formed, entries are counted.

    Returns:
        The median. Entries without a gradient (of a LoRA that begins at zero) have no
        say.

    Raises:
        GradientError: If no entry is positive.
    """
    pairs = [(_thinned(a[a > 0]), _thinned(b[b > 0])) for a, b in products]
    pairs = [(a, b) for a, b in pairs if len(a[0]) and len(b[0])]
    if not pairs:
        raise GradientError(NO_MOMENTS)
    half = sum(len(a) * x * len(b) * y for (a, x), (b, y) in pairs) / 2
    low = math.log(min(a[0] * b[0] for (a, _), (b, _) in pairs))
    high = math.log(max(a[-1] * b[-1] for (a, _), (b, _) in pairs))
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        bound = math.exp(middle)
        count = sum(
            x * y * np.searchsorted(b, bound / a, "right").sum()
            for (a, x), (b, y) in pairs
        )
        low, high = (low, middle) if count >= half else (middle, high)
    return math.exp((low + high) / 2)


def _thinned(values: np.ndarray) -> tuple[np.ndarray, float]:
    """Return values in order, quantiles of many, and how many one stands for."""
    count = len(values)
    if count <= QUANTILES:
        return np.sort(values), 1.0
    places = (np.arange(QUANTILES) + 0.5) * count / QUANTILES
    return np.sort(values)[places.astype(int)], count / QUANTILES
