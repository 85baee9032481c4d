import numpy as np
from stored_gradients import (
    CLIPS,
    DRAWS,
    GROUPS,
    VERSIONS,
    fill,
    finish,
    gradients,
)

from tqd_probe.gradients.gram import gram_from_columns
from tqd_probe.gradients.store import GradientStore


def assert_close(found, truth):
    """To 1e-6 of the largest squared norm: blocks are multiplied in float32."""
    limit = 1e-6 * np.abs(truth).max()
    np.testing.assert_allclose(found, truth, rtol=0, atol=limit)
    assert found.dtype == np.float64


def test_a_level_is_reduced_to_its_gram_matrices(tmp_path):
    store = GradientStore(tmp_path, "f")
    fill(store)
    gram = finish(store)
    values = gradients().astype(np.float64)
    for index, (start, stop) in enumerate(GROUPS.values()):
        part = values[..., start:stop]
        mean = part.mean(1)
        right = np.einsum("icp,jdp->cidj", mean, mean)
        assert_close(gram.products[index], right)
        within = np.einsum("ircp,iscp->cirs", part, part)
        assert_close(gram.draws[index], within)
    assert gram.losses[2, 1].tolist() == [21, 21, 21]
    whole = gram.all_groups().products[0]
    mean = values.mean(1)
    assert_close(whole, np.einsum("icp,jdp->cidj", mean, mean))
    assert store.has_level(0)
    assert not (tmp_path / "level-00").exists()


def test_blocks_of_columns_change_nothing():
    values = np.moveaxis(gradients(), 2, 0)

    def columns(start, stop):
        return values[..., start:stop]

    losses = np.zeros((CLIPS, DRAWS, VERSIONS))
    whole = gram_from_columns(columns, GROUPS, losses, 1000)
    parts = gram_from_columns(columns, GROUPS, losses, 7)
    assert_close(whole.products, parts.products)


def test_products_are_stored_without_their_mirror_image(tmp_path):
    store = GradientStore(tmp_path, "f")
    fill(store)
    gram = finish(store)
    np.testing.assert_array_equal(gram.products, gram.products.transpose(0, 3, 4, 1, 2))
    count = VERSIONS * CLIPS
    packed = gram.tensors()["products"]
    assert packed.shape == (len(GROUPS), count * (count + 1) // 2)


def test_products_with_unpaired_clips_equal_brute_force():
    rng = np.random.default_rng(5)
    paired = rng.normal(size=(VERSIONS, CLIPS, 3, 30))
    alone = rng.normal(size=(5, 3, 30))
    gram = gram_from_columns(
        lambda a, b: paired[..., a:b],
        {"all": (0, 30)},
        np.zeros((CLIPS, 3, VERSIONS)),
        7,
        lambda a, b: alone[..., a:b],
    )
    mean, own = paired.mean(2), alone.mean(1)
    rest = mean[0].sum(0) - mean[0]  # golden of the other clips
    for name, expected in (
        ("toward", np.einsum("vcrp,cp->vcr", paired, rest)),
        ("others", np.einsum("mp,vcp->mvc", own, mean)),
        ("among", own @ own.T),
        ("others_draws", np.einsum("mrp,msp->mrs", alone, alone)),
        ("others_toward", alone @ mean[0].sum(0)),
    ):
        np.testing.assert_allclose(getattr(gram, name)[0], expected, rtol=1e-10)
