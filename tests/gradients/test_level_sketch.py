import numpy as np
import pytest
from stored_gradients import (
    CLIPS,
    DRAWS,
    LAYOUT,
    SKETCH,
    UNPAIRED,
    fill,
    fill_sketched,
    fill_unpaired,
    gradients,
)

from tqd_probe.gradients.store import GradientStore


def test_whole_gradients_get_sketches_too_for_products_across_levels(tmp_path):
    whole, small = (
        GradientStore(tmp_path / "w", "f"),
        GradientStore(tmp_path / "s", "f"),
    )
    for level in (0, 1):
        fill(whole, level)
        fill_sketched(small, level, exact=False)
        for store in (whole, small):
            store.finish_level(level, CLIPS, DRAWS, LAYOUT, SKETCH)
    a, b = whole.sketches(0), whole.sketches(1)
    np.testing.assert_allclose(a.values, small.sketches(0).values, rtol=1e-4, atol=1e-5)
    across = a.products(b)
    first, second = (gradients(level).astype(float).mean(1) for level in (0, 1))
    right = np.einsum("icp,jdp->cidj", first, second)
    assert across.sum(0) == pytest.approx(right, abs=5)  # products have deviation 7
    assert np.corrcoef(across.sum(0).ravel(), right.ravel())[0, 1] > 0.95
    off = ~np.eye(CLIPS, dtype=bool)
    pairs = across.transpose(0, 1, 3, 2, 4)[..., off].mean(-1)
    np.testing.assert_allclose(a.pair_means(b).mean(1), pairs, atol=1e-9)


def test_joined_groups_are_sketches_part_by_part(tmp_path):
    store = GradientStore(tmp_path, "f")
    fill_sketched(store)
    fill_unpaired(store, gradients(3)[:UNPAIRED, :, 0])
    places = range(CLIPS, CLIPS + UNPAIRED)
    gram = store.finish_level(0, CLIPS, DRAWS, LAYOUT, SKETCH, places)
    whole = gram.all_groups()
    sketch = whole.sketch
    np.testing.assert_allclose(
        sketch.pair_means(sketch)[0], gram.splits.sum(0), rtol=1e-9
    )
    np.testing.assert_allclose(whole.splits[0], gram.splits.sum(0), rtol=1e-12)
    cross, own = sketch.unpaired_pair_means(0, [0, 1, 2])
    np.testing.assert_allclose(
        cross.mean(), whole.others[0, :, 0].mean(), rtol=1e-4, atol=1e-5
    )
    off = ~np.eye(UNPAIRED, dtype=bool)
    np.testing.assert_allclose(
        own.mean(), whole.among[0][off].mean(), rtol=1e-4, atol=1e-5
    )
    # Folded vectors multiply to the same products, whatever the order of numbers.
    np.testing.assert_allclose(
        whole.folded[1] @ whole.folded[2].T,
        gram.folded[1] @ gram.folded[2].T,
        rtol=1e-4,
        atol=1e-4,
    )
