"""Gaussian gradients with a known cosine and norm ratio, and their statistics."""

import numpy as np

from tqd_probe.gradients.gram import LevelGram
from tqd_probe.statistics.similarity import LevelStatistics


def gram_of(gradients):
    """Gradients [versions, clips, draws, P] to a one-group LevelGram."""
    mean = gradients.mean(2)
    products = np.einsum("cip,djp->cidj", mean, mean)[None]
    draws = np.einsum("cirp,cisp->cirs", gradients, gradients)[None]
    losses = np.ones((gradients.shape[1], gradients.shape[2], gradients.shape[0]))
    return LevelGram(("all",), products, draws, losses)


def statistics_of(gradients, confidence=0.95):
    return LevelStatistics(gram_of(gradients), 0, confidence=confidence)


def problem(cosine, ratio, clips, noise, draws=2, size=60, seed=1, shared=1.0):
    """Gaussian gradients with a known cosine and norm ratio of the means."""
    rng = np.random.default_rng(seed)
    golden = np.zeros(size)
    golden[0] = 1
    other = np.zeros(size)
    other[:2] = ratio * cosine, ratio * np.sqrt(1 - cosine**2)
    # Content noise is shared by the versions of a clip.
    content = shared * rng.normal(0, noise, (clips, 1, size))
    own = [rng.normal(0, noise, (clips, draws, size)) for _ in range(2)]
    return np.stack([golden + content + own[0], other + content + own[1]])
