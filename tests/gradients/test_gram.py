import numpy as np
from stored_gradients import (
    CLIPS,
    DRAWS,
    GROUPS,
    LAYOUT,
    SKETCH,
    VERSIONS,
    fill,
    gradients,
)

from tqd_probe.gradients.gram import gram_from_columns
from tqd_probe.gradients.store import GradientStore


def test_a_level_is_reduced_to_its_gram_matrices(tmp_path):
    store = GradientStore(tmp_path, "f")
    fill(store)
    gram = store.finish_level(0, CLIPS, DRAWS, LAYOUT, SKETCH)
    values = gradients().astype(np.float64)
    for index, (start, stop) in enumerate(GROUPS.values()):
        part = values[..., start:stop]
        mean = part.mean(1)
        right = np.einsum("icp,jdp->cidj", mean, mean)
        np.testing.assert_allclose(gram.products[index], right, rtol=1e-12)
        within = np.einsum("ircp,iscp->cirs", part, part)
        np.testing.assert_allclose(gram.draws[index], within, rtol=1e-12)
    assert gram.losses[2, 1].tolist() == [21, 21, 21]
    whole = gram.all_groups().products[0]
    mean = values.mean(1)
    np.testing.assert_allclose(whole, np.einsum("icp,jdp->cidj", mean, mean), rtol=1e-9)
    assert store.has_level(0)
    assert not (tmp_path / "level-00").exists()


def test_blocks_of_columns_change_nothing():
    values = np.moveaxis(gradients(), 2, 0)

    def columns(start, stop):
        return values[..., start:stop]

    losses = np.zeros((CLIPS, DRAWS, VERSIONS))
    whole = gram_from_columns(columns, GROUPS, losses, 1000)
    parts = gram_from_columns(columns, GROUPS, losses, 7)
    np.testing.assert_allclose(whole.products, parts.products, rtol=1e-12)
