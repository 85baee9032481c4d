"""Normalise scores of any scale to [0, 1]."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from typing import Any

import numpy as np

from tqd_probe.core.errors import InputError

METHODS = ("quantile", "minmax", "logistic", "none")


@dataclass(frozen=True)
class Scale:
    """The fitted normalisation of one column.

    Attributes:
        method: One of `METHODS`.
        low: Lowest score (min-max), median (logistic); 0 otherwise.
        width: Range (min-max), scale (logistic); 1 otherwise.
        ordered: All scores, rising ``[n]`` (quantile); empty otherwise.
    """

    method: str
    low: float
    width: float
    ordered: np.ndarray

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Normalise scores.

        Args:
            values: Scores on their own scale, float64 ``[m]``.

        Returns:
            float64 ``[m]`` in [0, 1].
        """
        if self.method == "quantile":
            # The mean of the ranks of equal values: the result does not depend on the
            # order of ties.
            below = np.searchsorted(self.ordered, values, "left")
            upto = np.searchsorted(self.ordered, values, "right")
            return (below + upto) / (2 * len(self.ordered))
        if self.method == "logistic":
            return 0.5 * (1 + np.tanh((values - self.low) / (2 * self.width)))
        return np.clip((values - self.low) / self.width, 0, 1)

    def describe(self, values: np.ndarray) -> dict[str, Any]:
        """Describe the normalisation, for the summary.

        Args:
            values: The scores it was fitted on ``[n]``.

        Returns:
            Method, its parameters and the quartiles of the scores.
        """
        quartiles = np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
        note: dict[str, Any] = {
            "method": self.method,
            "scores": len(values),
            "raw_quartiles": [round(float(q), 6) for q in quartiles],
        }
        if self.method == "minmax":
            note |= {"low": self.low, "range": self.width}
        if self.method == "logistic":
            note |= {"median": self.low, "scale": self.width}
        return note


def fit_scale(method: str, values: np.ndarray | array, column: str) -> Scale:
    """Fit the normalisation of one column.

    ``quantile``: share of scores below, ties in the middle, ``(r- + r+) / 2n``;
    ``minmax``: ``(x - min) / (max - min)``; ``logistic``:
    ``1 / (1 + exp((m - x) / s))`` with the median ``m`` and
    ``s = (q3 - q1) / (2 ln 3)``, by which the quartiles of a symmetric column go to
    0.25 and 0.75; ``none``: unchanged.

    Args:
        method: One of `METHODS`.
        values: All scores of the column ``[n]``, at least one.
        column: Its name, for messages.

    Returns:
        The scale.

    Raises:
        InputError: If the scores do not vary as the method needs, or are outside [0, 1]
            with ``none``.
    """
    scores = np.asarray(values, np.float64)
    nothing = np.empty(0)
    if method == "quantile":
        return Scale(method, 0.0, 1.0, np.sort(scores))
    if method == "minmax":
        low, high = float(scores.min()), float(scores.max())
        if not high > low:
            raise InputError(
                f"{column}: all {len(scores)} scores are {low:g}; minmax needs a range,"
                " use --normalise quantile"
            )
        return Scale(method, low, high - low, nothing)
    if method == "logistic":
        first, median, third = np.quantile(scores, [0.25, 0.5, 0.75])
        if not third > first:
            raise InputError(
                f"{column}: half of the scores are {median:g}; logistic needs quartiles"
                " that differ, use --normalise quantile"
            )
        return Scale(
            method, float(median), float((third - first) / (2 * math.log(3))), nothing
        )
    if scores.min() < 0 or scores.max() > 1:
        worst = scores.min() if scores.min() < 0 else scores.max()
        raise InputError(
            f"{column}: {worst:g} is outside [0, 1]; choose a --normalise other than"
            " none"
        )
    return Scale("none", 0.0, 1.0, nothing)
