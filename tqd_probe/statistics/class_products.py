"""Products of the gradients of one level, arranged by class and clip.

A class of degraded copies pools several degradations: its gradient of a clip is the
mean over them. What a training sample of it has is one of them, under one noise draw.
"""

from __future__ import annotations

import numpy as np

from tqd_probe.gradients.gram import LevelGram

Classes = dict[str, list[int]]  # versions of a class of copies, by name


def list_members(
    clips: int, classes: Classes, unpaired: dict[str, list[int]]
) -> tuple[list[tuple[int, int]], np.ndarray]:
    """List (class, clip) of every row of the class gradients, and membership.

    Args:
        clips: Number of paired clips.
        classes: Conditions of golden and of each class of copies.
        unpaired: Indices among the unpaired clips of each class of such.

    Returns:
        Pairs of indices, and whether clip t belongs to class k ``[T, K]``.
    """
    rows = [(k, clip) for k in range(len(classes)) for clip in range(clips)]
    first = clips
    for k, places in enumerate(unpaired.values(), start=len(classes)):
        rows += [(k, first + n) for n in range(len(places))]
        first += len(places)
    member = np.zeros((first, len(classes) + len(unpaired)), bool)
    for k, clip in rows:
        member[clip, k] = True
    return rows, member


def class_products(
    gram: LevelGram, classes: Classes, unpaired: dict[str, list[int]]
) -> np.ndarray:
    """Return the products of all class rows of a level ``[rows, rows]``.

    Args:
        gram: Matrices with the one group ``all``.
        classes: Conditions of golden and of each class of copies.
        unpaired: Indices among the unpaired clips of each class of such.

    Returns:
        Products, rows and columns as `list_members` lists them.
    """
    products = gram.products[0]
    half = [products[pooled].mean(0) for pooled in classes.values()]
    blocks = [[part[:, pooled].mean(1) for pooled in classes.values()] for part in half]
    if gram.others is not None and gram.among is not None:
        among, others = gram.among[0], gram.others[0]
        lower = [
            [others[places][:, pooled].mean(1) for pooled in classes.values()]
            for places in unpaired.values()
        ]
        for k, row in enumerate(blocks):
            row += [below[k].T for below in lower]
        for places, row in zip(unpaired.values(), lower):
            row += [among[np.ix_(places, more)] for more in unpaired.values()]
        blocks += lower
    return np.block(blocks)


def sum_products(
    products: np.ndarray,
    rows: list[tuple[int, int]],
    member: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Sum up the products of class rows: `Moments.toward` and `Moments.same`.

    Args:
        products: What `class_products` returns.
        rows: Class and clip of every row.
        member: Whether clip t belongs to class k ``[T, K]``.

    Returns:
        Two arrays ``[T, K, K]``.
    """
    clips, size = member.shape
    owner = np.zeros((len(rows), size))
    owner[np.arange(len(rows)), [k for k, _ in rows]] = 1
    sums = products @ owner
    toward, same = np.zeros((2, clips, size, size))
    of_clip: dict[int, list[int]] = {}
    for row, (k, clip) in enumerate(rows):
        toward[clip, k] = sums[row]
        of_clip.setdefault(clip, []).append(row)
    for clip, places in of_clip.items():
        names = [rows[row][0] for row in places]
        same[clip][np.ix_(names, names)] = products[np.ix_(places, places)]
    return toward, same


def sample_norms(
    gram: LevelGram,
    classes: Classes,
    unpaired: dict[str, list[int]],
    shape: tuple[int, ...],
) -> tuple[np.ndarray, np.ndarray]:
    """Return `Moments.single` and `Moments.repeated` of a level.

    Args:
        gram: Matrices with the one group ``all``.
        classes: Conditions of golden and of each class of copies.
        unpaired: Indices among the unpaired clips of each class of such.
        shape: Clips and classes.

    Returns:
        Two arrays ``[T, K]``.
    """
    single, repeated = np.zeros((2, *shape))
    clips = gram.products.shape[2]
    for k, pooled in enumerate(classes.values()):
        norms, across = _draw_means(gram.draws[0][pooled])
        single[:clips, k], repeated[:clips, k] = norms.mean(0), across.mean(0)
    at = clips
    for k, places in enumerate(unpaired.values(), start=len(classes)):
        assert gram.others_draws is not None
        rows = slice(at, at + len(places))
        at += len(places)
        single[rows, k], repeated[rows, k] = _draw_means(gram.others_draws[0][places])
    return single, repeated


def _draw_means(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average the products ``[..., R, R]`` of a draw with itself, and with others."""
    count = draws.shape[-1]
    own = np.trace(draws, axis1=-2, axis2=-1)
    pairs = count * (count - 1) or np.nan
    return own / count, (draws.sum((-1, -2)) - own) / pairs
