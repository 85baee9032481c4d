import numpy as np
import pytest
from grams import gram_of

from tqd_probe.statistics.class_products import (
    class_products,
    list_members,
    sample_norms,
    sum_products,
)

CLASSES = {"golden": [0], "visual_degraded": [1, 2]}
UNPAIRED = {"motion_degraded": [1, 3]}


@pytest.fixture
def gradients():
    """Of 3 versions of 4 clips and of 4 unpaired ones, 3 draws each."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(3, 4, 3, 9)) + 0.5, rng.normal(size=(4, 3, 9))


def test_products_of_a_clip_with_itself_and_with_all(gradients):
    paired, unpaired = gradients
    rows, member = list_members(4, CLASSES, UNPAIRED)
    products = class_products(gram_of(paired, unpaired), CLASSES, UNPAIRED)
    toward, same = sum_products(products, rows, member)
    mean = paired.mean(2)
    pooled = [mean[0], mean[1:].mean(0), unpaired.mean(1)[[1, 3]]]
    assert member.sum(0).tolist() == [4, 4, 2]
    assert toward[2, 0, 1] == pytest.approx(pooled[0][2] @ pooled[1].sum(0))
    assert toward[5, 2, 0] == pytest.approx(pooled[2][1] @ pooled[0].sum(0))
    assert same[1, 0, 1] == pytest.approx(pooled[0][1] @ pooled[1][1])
    assert same[4, 0, 2] == 0


def test_norms_of_a_single_draw_of_a_single_degradation(gradients):
    paired, unpaired = gradients
    _, member = list_members(4, CLASSES, UNPAIRED)
    single, repeated = sample_norms(
        gram_of(paired, unpaired), CLASSES, UNPAIRED, member.shape
    )
    some = [(0, paired[:1, 0], 0), (1, paired[1:, 2], 2), (2, unpaired[None, 3], 5)]
    for k, draws, clip in some:
        norms = (draws**2).sum(-1)
        assert single[clip, k] == pytest.approx(norms.mean())
        pairs = (draws.sum(1) ** 2).sum(-1) - norms.sum(1)
        assert repeated[clip, k] == pytest.approx(pairs.mean() / 6)
    assert (single[~member] == 0).all()
    _, alone = sample_norms(gram_of(paired[:, :, :1]), CLASSES, {}, (4, 2))
    assert np.isnan(alone).all()
