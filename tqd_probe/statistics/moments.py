"""Debiased inner products between classes and noise levels, and their jackknife.

A component is a class at a noise level. Its clips are the golden ones (a class of
degraded copies) or clips of its own. Products of components' mean gradients run over
pairs of different clips, as in `similarity`; leaving clips out estimates their error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tqd_probe.gradients.class_vectors import ClassVectors
from tqd_probe.gradients.gram import LevelGram
from tqd_probe.statistics.class_products import (
    Classes,
    class_products,
    list_members,
    sample_norms,
    sum_products,
)
from tqd_probe.statistics.semidefinite import positive_part


@dataclass(frozen=True)
class Moments:
    """Inner products of the gradients of K components, clip by clip (T clips).

    Attributes:
        toward: Products of clip t of component a with the sum over the clips of
            component b ``[T, K, K]``; 0 where t is no clip of a.
        same: Products of clip t of a with clip t of b ``[T, K, K]``; 0 where t is not
            in both.
        member: Whether clip t belongs to component a ``[T, K]``.
        single: Mean squared norm of a gradient of clip t in component a: of one draw
            of one of the degradations that the class pools ``[T, K]``.
        repeated: Mean product of two draws of one degradation, likewise ``[T, K]``;
            NaN with one draw per clip.
        splits: Debiased products by each part of the sketch alone ``[S, K, K]``; None
            for exact gradients.
        own_splits: Mean squared norms, as `single`, likewise ``[S, K]``.
    """

    toward: np.ndarray
    same: np.ndarray
    member: np.ndarray
    single: np.ndarray
    repeated: np.ndarray
    splits: np.ndarray | None = None
    own_splits: np.ndarray | None = None

    def of_level(self, level: int, classes: int) -> Moments:
        """Return the moments of one level alone.

        Args:
            level: Index of the level.
            classes: Components of each level.

        Returns:
            Moments of its components; clips that it lacks are left out.
        """
        own = slice(level * classes, (level + 1) * classes)
        member = self.member[:, own]
        rows = member.any(1)
        return Moments(
            self.toward[rows][:, own, own],
            self.same[rows][:, own, own],
            member[rows],
            self.single[rows][:, own],
            self.repeated[rows][:, own],
            None if self.splits is None else self.splits[:, own, own],
            None if self.own_splits is None else self.own_splits[:, own],
        )

    def tensors(self) -> dict[str, np.ndarray]:
        """Return the content as arrays by name.

        Returns:
            What the constructor takes.
        """
        return {k: value for k, value in vars(self).items() if value is not None}

    def products(self) -> np.ndarray:
        """Return the debiased products of mean gradients.

        Returns:
            ``U_ab`` ``[K, K]``, symmetric.
        """
        pairs = self._pairs()
        total = (self.toward - self.same).sum(0)
        return (total + total.T) / 2 / pairs

    def variances(self) -> np.ndarray:
        """Return the variance of one training sample's gradient.

        A sample is a clip under one fresh noise draw and, of a class that pools
        several degradations, in one of them. So the variance depends neither on the
        draws that the probe averaged nor on how many degradations it pooled.

        Returns:
            ``[K]``.
        """
        own = self.single.sum(0) / self.member.sum(0)
        return np.asarray(own - np.diag(self.products()))

    def correlations(self, classes: int) -> np.ndarray:
        """Return the correlation of one clip's gradients at two levels.

        In training a clip comes with fresh noise at each level, so only what it keeps
        from draw to draw is shared. The products between levels are those of a clip's
        mean gradients, under the same noise: their correlation stands for that of what
        the clip keeps, whose variance follows from different draws. With one draw per
        clip nothing tells the two apart, and noise counts as if the clip kept it: an
        upper limit.

        Args:
            classes: Components of each level.

        Returns:
            Correlations ``[K, K]`` of single samples: 1 on the diagonal, 0 between
            classes, positive semidefinite.
        """
        size = len(self.member.T)
        both = np.maximum(self.member.T.astype(float) @ self.member, 1)
        shared = self.same.sum(0) / both - self.products()
        shared = (shared + shared.T) / 2
        scale = np.sqrt(np.maximum(np.diag(shared), 1e-300))
        found = np.clip(shared / scale[:, None] / scale, -1, 1)
        total, kept = self.variances(), self.repeated.sum(0) / self.member.sum(0)
        kept = np.where(np.isfinite(kept), kept - np.diag(self.products()), total)
        share = np.clip(kept, 0, total) / np.maximum(total, 1e-300)
        found *= np.sqrt(share[:, None] * share)
        place = np.arange(size)
        found[(place[:, None] - place) % classes != 0] = 0
        found[(np.diag(shared) <= 0) | (total <= 0)] = 0
        found[:, (np.diag(shared) <= 0) | (total <= 0)] = 0
        found[place, place] = 1
        found = positive_part(found)[0]
        scale = np.sqrt(np.diag(found))
        return np.asarray(found / scale[:, None] / scale)

    def without(self) -> tuple[np.ndarray, np.ndarray]:
        """Return products and variances with each clip left out.

        Returns:
            Products ``[T, K, K]`` and variances ``[T, K]``.
        """
        each = self.toward - self.same
        total = each.sum(0)
        left = total - each - np.swapaxes(each, 1, 2)
        counts = self.member.sum(0) - self.member.astype(float)
        both = (self.member[:, :, None] & self.member[:, None, :]).astype(float)
        shared = both.sum(0) - both
        pairs = counts[:, :, None] * counts[:, None, :] - shared
        products = (left + np.swapaxes(left, 1, 2)) / 2 / pairs
        mean = (self.single.sum(0) - self.single) / counts
        return products, mean - np.diagonal(products, axis1=1, axis2=2)

    def jackknife(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the jackknife changes of products and variances, by clip left out.

        Returns:
            Changes ``[T, K, K]`` and ``[T, K]``, scaled so that their outer products
            add up to the jackknife covariance (each set of clips is resampled alone);
            with sketched gradients also along each part of the sketch, ``T + S``.
        """
        products, variances = self.without()
        moved_products, moved_variances = np.zeros_like(products), variances * 0
        for chosen in np.unique(self.member, axis=0):
            rows = (self.member == chosen).all(1)
            count = rows.sum()
            scale = np.sqrt((count - 1) / count)
            for moved, values in (
                (moved_products, products),
                (moved_variances, variances),
            ):
                moved[rows] = scale * (values[rows] - values[rows].mean(0))
        if self.splits is None or self.own_splits is None:
            return moved_products, moved_variances
        scale = 1 / np.sqrt(len(self.splits) * (len(self.splits) - 1))
        gaps = scale * (self.splits - self.splits.mean(0))
        own = scale * (self.own_splits - self.own_splits.mean(0))
        return (
            np.concatenate([moved_products, gaps]),
            np.concatenate(
                [moved_variances, own - np.diagonal(gaps, axis1=1, axis2=2)]
            ),
        )

    def _pairs(self) -> np.ndarray:
        """Count pairs of different clips ``[K, K]``."""
        counts = self.member.sum(0).astype(float)
        both = self.member.T.astype(float) @ self.member
        return np.outer(counts, counts) - both


def level_moments(
    gram: LevelGram, classes: Classes, unpaired: dict[str, list[int]]
) -> Moments:
    """Collect the moments of all classes at one level; the first is golden.

    Args:
        gram: Matrices with the one group ``all``.
        classes: Conditions of golden and of each class of copies.
        unpaired: Indices among the unpaired clips of each class of such.

    Returns:
        Moments of the classes in the order given, copies first; without `splits`, which
        `joint_moments` knows.
    """
    clips = gram.products.shape[2]
    rows, member = list_members(clips, classes, unpaired)
    found = sum_products(class_products(gram, classes, unpaired), rows, member)
    return Moments(*found, member, *sample_norms(gram, classes, unpaired, member.shape))


def joint_moments(
    grams: list[LevelGram],
    vectors: list[ClassVectors],
    classes: Classes,
    unpaired: dict[str, list[int]],
) -> Moments:
    """Collect the moments of all classes at all levels, products across included.

    Products within a level are the level's own. Where a level has fewer clips than
    another, the clips it lacks belong to none of its components.

    Args:
        grams: Matrices of each level with the one group ``all``.
        vectors: What products between levels are taken between, level by level: of
            `classes` and of the unpaired clips.
        classes: Conditions of golden and of each class of copies.
        unpaired: Indices among the unpaired clips of each class of such.

    Returns:
        Moments of ``K L`` components, level by level.
    """
    most = max(gram.products.shape[2] for gram in grams)
    size = len(classes) + len(unpaired)
    extra = sum(map(len, unpaired.values()))
    components, members, blocks = [], [], []
    for gram, vector in zip(grams, vectors):
        exact = level_moments(gram, classes, unpaired)
        blocks.append(exact)
        clips = gram.products.shape[2]
        places = np.concatenate([np.arange(clips), most + np.arange(extra)])
        member = np.zeros((most + extra, size), bool)
        member[places] = exact.member
        members.append(member)
        components.append((_arranged(vector, unpaired), places))
    member = np.concatenate(members, 1)
    parts, width = vectors[0].parts, vectors[0].values.shape[-1]
    sums = np.concatenate([part.sum(0, dtype=float) for part, _ in components])
    toward, same = np.zeros((2, len(member), *[size * len(grams)] * 2))
    single, repeated = np.zeros((2, *member.shape))
    squares = np.zeros((parts, *same.shape[1:]))
    for clip in range(len(member)):
        rows = np.zeros((size * len(grams), width))
        for level, (found, places) in enumerate(components):
            at = np.flatnonzero(places == clip)
            if len(at):
                rows[level * size : (level + 1) * size] = found[at[0]]
        toward[clip] = rows @ sums.T
        own = _by_part(rows, parts)
        same[clip] = own.sum(0)
        squares += own
    splits: tuple[np.ndarray, np.ndarray] | tuple[None, None] = (None, None)
    if parts > 1:
        splits = _split_products(_by_part(sums, parts), squares, member)
        known = np.concatenate([b.single.sum(0) / b.member.sum(0) for b in blocks])
        # Norms of single samples are not known by part: they err by as large a share.
        splits[1][...] *= known / splits[1].mean(0)
    for level, (gram, exact) in enumerate(zip(grams, blocks)):
        block = slice(level * size, (level + 1) * size)
        rows = components[level][1]
        toward[rows, block, block] = exact.toward
        same[rows, block, block] = exact.same
        single[rows, block], repeated[rows, block] = exact.single, exact.repeated
        across, norms = splits
        if gram.splits is None and across is not None and norms is not None:
            # Within the level gradients were not sketched.
            across[:, block, block] = exact.products()
            norms[:, block] = exact.single.sum(0) / exact.member.sum(0)
    return Moments(toward, same, member, single, repeated, *splits)


def _arranged(vectors: ClassVectors, unpaired: dict[str, list[int]]) -> np.ndarray:
    """Arrange vectors as ``[clips, classes, D]``, 0 where there is none."""
    count, clips, width = vectors.values.shape
    extra = sum(map(len, unpaired.values()))
    found = np.zeros((clips + extra, count + len(unpaired), width), np.float32)
    found[:clips, :count] = vectors.values.swapaxes(0, 1)
    at = clips
    for k, places in enumerate(unpaired.values(), start=count):
        assert vectors.others is not None
        found[at : at + len(places), k] = vectors.others[places]
        at += len(places)
    return found


def _by_part(rows: np.ndarray, parts: int) -> np.ndarray:
    """Multiply rows ``[K, D]`` by each part of their numbers alone ``[S, K, K]``."""
    some = np.moveaxis(rows.reshape(len(rows), parts, -1), 1, 0)
    return some @ np.swapaxes(some, 1, 2)


def _split_products(
    sums: np.ndarray, own: np.ndarray, member: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return debiased products and mean squared norms by each part of the sketch.

    Args:
        sums: Products of the sums over clips ``[S, K, K]``.
        own: Sums over clips of products of a clip with itself ``[S, K, K]``.
        member: Whether clip t belongs to component a ``[T, K]``.

    Returns:
        ``[S, K, K]`` and ``[S, K]``.
    """
    counts = member.sum(0).astype(float)
    pairs = np.outer(counts, counts) - member.T.astype(float) @ member
    squares = np.diagonal(own, axis1=1, axis2=2) / counts
    return len(own) * (sums - own) / pairs, len(own) * squares


def cross_cosines(moments: Moments, classes: int) -> np.ndarray:
    """Compare golden gradients at one level with those of a class at another.

    Args:
        moments: Moments of all classes at all levels, golden first.
        classes: Number of classes.

    Returns:
        Debiased cosines ``[classes, L golden, L]``; NaN where a squared norm is not
        positive.
    """
    products = moments.products()
    levels = len(products) // classes
    squares = np.diag(products)
    with np.errstate(invalid="ignore"):
        norms = np.where(squares > 0, np.sqrt(squares), np.nan)
    cosines = products / norms[:, None] / norms[None, :]
    table = cosines.reshape(levels, classes, levels, classes)
    return np.moveaxis(table[:, 0], -1, 0)
