import numpy as np
import pytest
import torch

from tqd_probe.gradients.collision_error import around, draw_pairings
from tqd_probe.gradients.count_sketch import CountSketch, Piece
from tqd_probe.gradients.level_sketch import LevelSketch

PARTS, NUMBERS, ENTRIES, CLIPS = 16, 256, 4096, 6


def test_numbers_are_paired_and_meet_once():
    pairings = draw_pairings(NUMBERS, ENTRIES, PARTS)
    everyone = np.arange(NUMBERS)
    for partner, sign in zip(pairings.partner, pairings.sign):
        assert (partner[partner] == everyone).all()
        assert (partner != everyone).all()
        assert (sign[partner] == sign).all()
    # 16 entries a number: another is on the same with 15 / 4095.
    assert pairings.scale**2 == pytest.approx(15 / 4095 * 255)
    assert draw_pairings(NUMBERS, 200, 2).scale == 0  # nothing collides
    errors = np.random.default_rng(0).normal(size=(16, 3))
    made = around(np.array([1.0, 2.0, 3.0]), errors)
    assert made.mean(0) == pytest.approx([1, 2, 3])
    assert made.var(0, ddof=1) / 16 == pytest.approx(errors.var(0, ddof=1))


def products(values):
    """U-statistics gg, gd, dd of gradients ``[2, clips, n]``."""
    found = LevelSketch({"a": (0, values.shape[-1])}, 1, values).pair_means()[0, 0]
    return found[[0, 0, 1], [0, 1, 1]]


@pytest.mark.monte_carlo
@pytest.mark.parametrize(
    ("kind", "least"), [("even", 0.9), ("uneven", 1.5), ("few", 1.5)]
)
def test_the_stated_error_of_an_entrywise_sketch_is_the_true_one(kind, least):
    """The spread over parts was 2 to 10 times that where few entries dominate."""
    rng = np.random.default_rng(0)
    size = np.ones(ENTRIES)
    if kind == "uneven":
        size = np.exp(1.2 * rng.normal(size=ENTRIES))
    if kind == "few":
        size = np.where(np.arange(ENTRIES) < 4, 1, 0.02)
    means = rng.normal(size=(2, 1, ENTRIES))
    means[1] = 0.8 * means[0] + 0.6 * means[1]
    gradients = (means + rng.normal(size=(2, CLIPS, ENTRIES))) * size
    truth, errors, stated, by_parts = products(gradients), [], [], []
    flat = torch.from_numpy(gradients).reshape(2 * CLIPS, -1)
    for run in range(60):

        def numbers(use, name, run=run):
            return np.random.default_rng([run, *map(ord, use + name)])

        piece = Piece("a", ENTRIES, 0, "a", 0, NUMBERS // PARTS, ENTRIES)
        into = torch.zeros(2 * CLIPS, NUMBERS, dtype=torch.float64)
        CountSketch([piece], PARTS, numbers).add({"a": flat.clone()}, into)
        values = into.numpy().reshape(2, CLIPS, NUMBERS)
        errors.append(products(values) - truth)
        for found, entries in ((stated, {"a": ENTRIES}), (by_parts, {})):
            level = LevelSketch({"a": (0, NUMBERS)}, PARTS, values, None, entries)
            parts = level.pair_means()[0][:, [0, 0, 1], [0, 1, 1]]
            assert parts.mean(0) == pytest.approx(products(values))
            found.append(parts.var(0, ddof=1) / PARTS)
    true = np.sqrt(np.mean(np.square(errors), 0))
    ratio = np.sqrt(np.mean(stated, 0)) / true
    assert (ratio > 0.8).all()
    assert (ratio < 1.7).all()
    assert (np.sqrt(np.mean(by_parts, 0)) / true > least).all()


def test_an_unpaired_class_has_the_error_of_copies():
    """The same clips, once as copies and once on their own."""
    values = np.random.default_rng(1).normal(size=(2, CLIPS, NUMBERS)) + 0.5
    level = LevelSketch({"a": (0, NUMBERS)}, PARTS, values, values[1], {"a": ENTRIES})
    paired = level.pair_means()[0]
    cross, own = level.unpaired_pair_means(list(range(CLIPS)))[0]
    assert own == pytest.approx(paired[:, 1, 1])
    same = np.einsum("nk,nk->", *values) / CLIPS**2
    share = 1 - 1 / CLIPS
    assert cross.mean() == pytest.approx(share * paired[:, 0, 1].mean() + same)
    assert 0.3 < cross.std() / paired[:, 0, 1].std() < 3
    again = LevelSketch.of_tensors(level.tensors())
    np.testing.assert_array_equal(again.pair_means(), level.pair_means())
