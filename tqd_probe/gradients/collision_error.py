"""The error of an entry-wise count-sketch, estimated from the sketch itself.

A product of two count-sketches is exact but for collisions: entries i and j that share
a number add ``s_i s_j (a_i b_j + a_j b_i)``, of variance

    P(i and j collide) sum_{i != j} (a_i^2 b_j^2 + a_i b_i a_j b_j).

Its parts do not tell that error: each holds a sixteenth of the entries, so that they
differ by *which* they hold, most where few entries dominate. Instead the numbers of the
sketch are paired at random, with random signs: what each pair would add to the product
if its numbers were one, ``s (y_k z_l + y_l z_k)``, has that variance with the sketch's
numbers in place of the entries, and numbers that dominate do not meet themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tqd_probe.core.rng import stream


@dataclass(frozen=True)
class Pairings:
    """Random pairings of the numbers of a sketch, with signs.

    Attributes:
        partner: The number that each is paired with ``[S, m]``.
        sign: The pair's sign ``[S, m]``.
        scale: By what a pairing's error exceeds that of the sketch, to be multiplied.
    """

    partner: np.ndarray
    sign: np.ndarray
    scale: float

    def partners(self, values: np.ndarray, index: int) -> np.ndarray:
        """Return what each number meets in one pairing.

        Args:
            values: Sketches ``[..., m]``.
            index: Number of the pairing.

        Returns:
            The partners' numbers with the pairs' signs and `scale`, same shape. Their
            product with sketches is one draw of the error of a product.
        """
        signs = self.sign[index] * self.scale
        return np.asarray(values[..., self.partner[index]] * signs)


def draw_pairings(numbers: int, entries: int, count: int) -> Pairings:
    """Pair the numbers of a sketch at random.

    Args:
        numbers: Numbers of the sketch m, even.
        entries: Entries that were dealt out to them evenly.
        count: Pairings S.

    Returns:
        The pairings; of scale 0 where no number holds two entries.
    """
    rng = stream(0, "sketch pairings", numbers, entries)
    partner = np.empty((count, numbers), np.int64)
    sign = np.empty((count, numbers), np.float64)
    for row in range(count):
        first, second = rng.permutation(numbers).reshape(2, -1)
        partner[row, first], partner[row, second] = second, first
        sign[row, first] = sign[row, second] = 1 - 2 * rng.integers(0, 2, len(first))
    share, more = divmod(entries, numbers)
    collisions = more * (share + 1) * share + (numbers - more) * share * (share - 1)
    chance = collisions / max(entries * (entries - 1), 1)
    return Pairings(partner, sign, float(np.sqrt(chance * (numbers - 1))))


def around(estimate: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Return values that scatter about an estimate as parts of a sketch would.

    Args:
        estimate: Any statistic that is linear in products ``[...]``.
        errors: S draws of its error ``[S, ...]``.

    Returns:
        ``[S, ...]``, of mean `estimate`; their variance over S is that of the errors.
    """
    return estimate + np.sqrt(len(errors)) * (errors - errors.mean(0))
