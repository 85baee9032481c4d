import numpy as np
from stored_gradients import (
    CLIPS,
    DRAWS,
    SIZE,
    SKETCH,
    UNPAIRED,
    VERSIONS,
    fill_sketched,
    fill_unpaired,
    finish,
    gradients,
    sketched,
)

from tqd_probe.gradients.gram import gram_from_columns
from tqd_probe.gradients.store import GradientStore


def test_sketched_products_of_unpaired_clips_and_of_draws(tmp_path):
    """As reduced from whole gradients, but of the sketches."""
    store = GradientStore(tmp_path, "f")
    fill_sketched(store)
    rng = np.random.default_rng(7)
    others = rng.normal(size=(UNPAIRED, DRAWS, SIZE)).astype(np.float32)
    fill_unpaired(store, others)
    gram = finish(store, unpaired=UNPAIRED)
    values = np.moveaxis(gradients(), 2, 0)  # versions in front
    small = sketched(values.reshape(-1, SIZE)).reshape(VERSIONS, CLIPS, DRAWS, -1)
    alone = sketched(others.reshape(-1, SIZE)).reshape(UNPAIRED, DRAWS, -1)
    losses = np.zeros((CLIPS, DRAWS, VERSIONS))
    expected = gram_from_columns(
        lambda a, b: small[..., a:b],
        SKETCH.groups,
        losses,
        1000,
        lambda a, b: alone[..., a:b],
    )
    for name in ("toward", "others", "others_toward"):
        found, wanted = getattr(gram, name), getattr(expected, name)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
    off = ~np.eye(UNPAIRED, dtype=bool)
    np.testing.assert_allclose(
        gram.among[:, off], expected.among[:, off], rtol=1e-4, atol=1e-4
    )
    exact = (others.astype(float)[..., :20] ** 2).sum(-1)  # the first group's norms
    diagonal = np.einsum("mrr->mr", gram.others_draws[0])
    np.testing.assert_allclose(diagonal, exact, rtol=1e-6)
    np.testing.assert_allclose(
        np.diag(gram.among[0]), gram.others_draws[0].mean((-1, -2)), rtol=1e-12
    )
