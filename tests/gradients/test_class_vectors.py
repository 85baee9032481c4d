import numpy as np
from stored_gradients import (
    CLIPS,
    LAYOUT,
    REDUCTION,
    SKETCH,
    UNPAIRED,
    fill,
    fill_sketched,
    finish,
    gradients,
    level_draws,
)

from tqd_probe.gradients import reduce_level
from tqd_probe.gradients.class_vectors import ClassVectors, pool_versions
from tqd_probe.gradients.sketch import SPLITS
from tqd_probe.gradients.store import GradientStore


def test_small_gradients_are_kept_whole(tmp_path):
    store = GradientStore(tmp_path, "f")
    fill(store)
    finish(store)
    found = store.vectors(0, REDUCTION)
    mean = gradients().mean(1)  # [clips, versions, size]
    expected = np.stack([mean[:, 0], mean[:, 1:].mean(1)])
    np.testing.assert_allclose(found.values, expected, rtol=1e-6, atol=1e-7)
    assert found.parts == 1
    assert found.others is None


def test_larger_ones_are_sketched_as_sketched_draws_are(tmp_path, monkeypatch):
    monkeypatch.setattr(reduce_level, "EXACT_UP_TO", LAYOUT.size - 1)
    whole, small = (GradientStore(tmp_path / name, "f") for name in "ws")
    fill(whole)
    fill_sketched(small, exact=False)
    for store in (whole, small):
        finish(store)
    found, expected = (store.vectors(0, REDUCTION) for store in (whole, small))
    assert found.values.shape == (2, CLIPS, SKETCH.size)
    assert found.parts == expected.parts == SPLITS
    scale = np.linalg.norm(expected.values, axis=-1, keepdims=True)
    np.testing.assert_allclose(found.values / scale, expected.values / scale, atol=3e-4)


def test_half_precision_moves_products_by_a_millionth():
    rng = np.random.default_rng(0)
    size = 16 * 3000
    rows = rng.normal(size=(2, 6, size)) * 10.0 ** rng.uniform(-9, 6, (2, 6, 1))
    rows[0, 0] = 0
    vectors = ClassVectors(rows.astype(np.float32), rows[1].astype(np.float32), SPLITS)
    stored = vectors.tensors()
    assert stored["values"].dtype == stored["others"].dtype == np.float16
    found = ClassVectors.of_tensors(stored)
    assert found.parts == SPLITS
    a, b = (each.values.reshape(12, -1).astype(float) for each in (vectors, found))
    norms = np.linalg.norm(a, axis=1)
    gaps = np.abs(b @ b.T - a @ a.T) / np.maximum(np.outer(norms, norms), 1e-300)
    assert 1e-8 < gaps.max() < 1e-5
    assert np.median(gaps[1:, 1:]) < 2e-6
    np.testing.assert_array_equal(found.others, found.values[1])


def test_a_class_is_the_mean_of_its_versions():
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    pooled = pool_versions(values, [[0], [1, 2]])
    assert pooled.tolist() == [[0, 1, 2, 3], [6, 7, 8, 9]]
    assert pooled.dtype == np.float32


def test_unpaired_clips_have_vectors_of_their_own(tmp_path):
    store = GradientStore(tmp_path, "f")
    fill(store)
    rows = gradients(3)[:UNPAIRED]
    for clip, draw in np.ndindex(*rows.shape[:2]):
        store.put_draw(0, CLIPS + clip, draw, rows[clip, draw, :1], np.zeros(1))
    gram_of = level_draws(store, unpaired=UNPAIRED)
    found = reduce_level.whole_vectors(gram_of, REDUCTION)
    np.testing.assert_allclose(found.others, rows[:, :, 0].mean(1), rtol=1e-6)
