from dataclasses import replace

import numpy as np
import pytest
from stored_gradients import CLIPS, UNPAIRED, fill_sketched, fill_unpaired, finish
from stored_gradients import gradients as gradients_of

from tqd_probe.gradients.store import GradientStore


@pytest.fixture
def store(tmp_path):
    """A finished level of sketched gradients with unpaired clips."""
    store = GradientStore(tmp_path, "f")
    fill_sketched(store)
    fill_unpaired(store, gradients_of(3)[:UNPAIRED, :, 0])
    finish(store, unpaired=UNPAIRED)
    return store


def test_parts_average_to_means_over_pairs_of_different_clips(store):
    sketch, gram = store.sketches(0), store.level(0)
    off = ~np.eye(CLIPS, dtype=bool)
    pairs = gram.products.transpose(0, 1, 3, 2, 4)[..., off].mean(-1)
    np.testing.assert_allclose(sketch.pair_means().mean(1), pairs, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(gram.splits, sketch.pair_means())
    cross, own = sketch.unpaired_pair_means([0, 1, 2]).sum(0)
    whole = gram.all_groups()
    np.testing.assert_allclose(
        cross.mean(), whole.others[0, :, 0].mean(), rtol=1e-4, atol=1e-5
    )
    off = ~np.eye(UNPAIRED, dtype=bool)
    np.testing.assert_allclose(
        own.mean(), whole.among[0][off].mean(), rtol=1e-4, atol=1e-5
    )


def test_joined_groups_are_sketches_part_by_part(store):
    sketch = store.sketches(0)
    joined, others = sketch.joined(), sketch.joined_others()
    parts = joined.reshape(*joined.shape[:2], sketch.splits, -1).astype(float)
    sums = parts.sum(1)
    pairs = np.einsum("csk,dsk->scd", sums, sums)
    pairs -= np.einsum("cnsk,dnsk->scd", parts, parts)
    expected = sketch.splits * pairs / (CLIPS * (CLIPS - 1))
    by_parts = replace(sketch, entrywise={}).pair_means().sum(0)
    np.testing.assert_allclose(by_parts, expected, rtol=1e-9)
    for found, values in ((joined, sketch.values), (others, sketch.others)):
        np.testing.assert_array_equal(np.sort(found), np.sort(values))
