import numpy as np
from stored_gradients import (
    CLIPS,
    GROUPS,
    REDUCTION,
    SIZE,
    SKETCH,
    VERSIONS,
    fill_sketched,
    finish,
    gradients,
    level_draws,
    sketched,
)

from tqd_probe.gradients.sketch import SPLITS
from tqd_probe.gradients.store import GradientStore


def test_sketched_draws_are_reduced_to_sketches(tmp_path):
    store = GradientStore(tmp_path, "f")
    fill_sketched(store)
    unfinished = store.unfinished_level(level_draws(store), REDUCTION)
    gram = finish(store)
    np.testing.assert_array_equal(gram.products, unfinished.products)
    values = gradients()
    mean = values.mean(1)
    for index, (start, stop) in enumerate(GROUPS.values()):
        own = slice(*SKETCH.groups[list(GROUPS)[index]])
        part = sketched(mean.reshape(-1, SIZE))[:, own].reshape(CLIPS, VERSIONS, -1)
        right = np.einsum("icp,jdp->cidj", part, part)
        off = ~np.eye(CLIPS, dtype=bool)[None, :, None, :].repeat(VERSIONS, 0)
        off = np.broadcast_to(off, right.shape)
        np.testing.assert_allclose(gram.products[index][off], right[off], rtol=1e-4)
        draws = values[..., start:stop].astype(float)
        exact = (draws**2).sum(-1)  # the diagonal is exact
        found = np.einsum("cirr->irc", gram.draws[index])
        np.testing.assert_allclose(found, exact, rtol=1e-6)
        diagonal = np.einsum("cici->ci", gram.products[index])
        expected = gram.draws[index].mean((-1, -2))
        np.testing.assert_allclose(diagonal, expected, rtol=1e-12)
        # Each part of the sketch estimates the mean over pairs; all parts make it.
        pairs = np.einsum("cidj->cd", np.where(off, gram.products[index], 0))
        pairs /= CLIPS * (CLIPS - 1)
        assert gram.splits[index].shape == (SPLITS, VERSIONS, VERSIONS)
        np.testing.assert_allclose(gram.splits[index].mean(0), pairs, atol=1e-6)
