"""Long gradients folded to few numbers, for products between noise levels."""

from __future__ import annotations

import numpy as np

from tqd_probe.rng import stream

FOLD = 8191  # prime, so that no row of a weight matrix falls on another
CHUNK = 1 << 16


class Fold:
    """Folds long gradients so that products stay right on average.

    Column j goes to place ``j mod D`` with a random sign that depends on j alone (a
    count sketch; Charikar et al., 2002): the relative error of a product is about
    ``1 / sqrt(D)``. Gradients of at most D numbers are kept as they are.
    """

    def __init__(self, rows: int, size: int, width: int = FOLD) -> None:
        """Start with zeros.

        Args:
            rows: Number of gradients.
            size: Numbers in one gradient.
            width: D.
        """
        self.exact, self.width = size <= width, min(size, width)
        self.sums = np.zeros((rows, self.width))

    def add(self, at: int, block: np.ndarray) -> None:
        """Add some columns.

        Args:
            at: Place of the first column in the whole gradient.
            block: ``[rows, columns]``, any columns not yet added.
        """
        stop = at + block.shape[1]
        if self.exact:
            self.sums[:, at:stop] += block
            return
        places = np.arange(at // CHUNK, (stop - 1) // CHUNK + 1)
        coins = [
            stream(0, "fold", int(place)).integers(0, 2, CHUNK) for place in places
        ]
        first = at - int(places[0]) * CHUNK
        signs = (2.0 * np.concatenate(coins) - 1)[first : first + block.shape[1]]
        before, after = at % self.width, -stop % self.width
        padded = np.pad(block * signs, ((0, 0), (before, after)))
        self.sums += padded.reshape(len(block), -1, self.width).sum(1)
