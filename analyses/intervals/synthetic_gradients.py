"""Synthetic per-clip gradients whose true cosine, norm ratio and noise are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tqd_probe.gradients.gram import LevelGram


@dataclass(frozen=True)
class Truth:
    """A situation that gradients are drawn from.

    Attributes:
        clips: Number of clips N.
        snr: Squared norm of the golden mean over the variance of one clip.
        cosine: Of the two mean gradients.
        shared: Share of a clip's noise that golden and degraded version share.
        tails: Degrees of freedom of Student's t that scales a clip's noise; 0 for
            normal noise.
        decay: Noise variance falls with direction k as ``k ** -decay``.
        ratio: Norm of the degraded mean over the golden one, and of its noise.
        size: Number of parameters.
    """

    clips: int
    snr: float
    cosine: float
    shared: float = 0.0
    tails: int = 0
    decay: float = 0.5
    ratio: float = 1.5
    size: int = 200


def draw(truth: Truth, times: int, rng: np.random.Generator) -> np.ndarray:
    """Draw gradients of golden and degraded versions.

    Args:
        truth: The situation.
        times: Number of repetitions B.
        rng: Random generator.

    Returns:
        Gradients ``[B, 2, N, size]``; means have norms 1 and `ratio`.
    """
    spread = np.arange(1, truth.size + 1.0) ** -truth.decay
    deviation = np.sqrt(spread / spread.sum() / truth.snr)
    means = np.zeros((2, truth.size))
    means[0, 3] = 1.0
    means[1, [3, 7]] = truth.cosine, np.sqrt(1 - truth.cosine**2)
    shape = (times, truth.clips, truth.size)
    scale = np.ones((times, truth.clips, 1))
    if truth.tails:
        scale = np.sqrt((truth.tails - 2) / rng.chisquare(truth.tails, scale.shape))
    common = rng.standard_normal(shape)
    found = []
    for mean in means:
        own = rng.standard_normal(shape)
        noise = np.sqrt(truth.shared) * common + np.sqrt(1 - truth.shared) * own
        found.append(mean + deviation * scale * noise)
    return np.stack(found, 1) * np.array([1.0, truth.ratio])[:, None, None]


def paired(gradients: np.ndarray) -> LevelGram:
    """Return the Gram matrices of golden and degraded versions of the same clips.

    Args:
        gradients: ``[2, N, size]``.

    Returns:
        Matrices of one group with one draw.
    """
    products = np.einsum("cip,djp->cidj", gradients, gradients, optimize=True)
    own = np.einsum("cip,cip->ci", gradients, gradients)[None, ..., None, None]
    losses = np.ones((gradients.shape[1], 1, 2))
    return LevelGram(("all",), products[None], own, losses)


def unpaired(golden: np.ndarray, other: np.ndarray) -> LevelGram:
    """Return the Gram matrices of golden clips and unrelated clips of a class.

    Args:
        golden: ``[N, size]``.
        other: ``[M, size]``.

    Returns:
        Matrices of one group with one draw.
    """
    gram = paired(golden[None])
    return LevelGram(
        ("all",),
        gram.products,
        gram.draws,
        np.ones((len(golden), 1, 1)),
        others=(other @ golden.T)[None, :, None, :],
        among=(other @ other.T)[None],
    )
