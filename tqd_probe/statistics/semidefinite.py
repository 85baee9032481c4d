"""The positive semidefinite matrix nearest to an estimate that is not."""

from __future__ import annotations

import numpy as np


def positive_part(products: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the nearest positive semidefinite matrix (in the Frobenius norm).

    Args:
        products: Symmetric ``[..., K, K]``.

    Returns:
        The matrix without its negative eigenvalues, and the size of the most negative
        one; 0 where it is rounding.
    """
    values, vectors = np.linalg.eigh((products + np.swapaxes(products, -1, -2)) / 2)
    scale = np.abs(values).max(initial=0.0)
    lowest = float(-values.min(initial=0.0))
    kept = np.maximum(values, 0)[..., None, :]
    repaired = (vectors * kept) @ np.swapaxes(vectors, -1, -2)
    return repaired, lowest if lowest > 1e-9 * scale else 0.0
