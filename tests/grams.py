"""Gram matrices, and vectors of classes, of gradients that a test makes up."""

import numpy as np

from tqd_probe.gradients.class_vectors import ClassVectors, pool_versions
from tqd_probe.gradients.gram import gram_from_columns


def gram_of(paired, unpaired=None):
    """Gradients [versions, clips, draws, P] and [M, draws, P] to a LevelGram."""
    extra = None if unpaired is None else (lambda a, b: unpaired[..., a:b])
    losses = np.ones((paired.shape[1], paired.shape[2], paired.shape[0]))
    size = paired.shape[-1]
    gram = gram_from_columns(
        lambda a, b: paired[..., a:b], {"all": (0, size)}, losses, 7, extra
    )
    return gram.all_groups()


def vectors_of(paired, classes, unpaired=None):
    """Whole gradients [versions, clips, draws, P] and [M, draws, P] to vectors."""
    return ClassVectors(
        pool_versions(paired.mean(2), classes.values()),
        None if unpaired is None else unpaired.mean(1),
    )
