import numpy as np
import pytest
from grams import gram_of, vectors_of

from tqd_probe.gradients.class_vectors import ClassVectors
from tqd_probe.gradients.level_sketch import LevelSketch
from tqd_probe.gradients.sketched_gram import sketched_gram
from tqd_probe.statistics.moments import cross_cosines, joint_moments, level_moments

CLASSES = {"golden": [0], "visual_degraded": [1, 2]}
UNPAIRED = {"motion_degraded": [0, 1, 2, 3, 4]}


@pytest.fixture
def gradients():
    rng = np.random.default_rng(0)
    return rng.normal(size=(2, 3, 6, 2, 30)) + 0.5, rng.normal(size=(2, 5, 2, 30))


def class_rows(paired, unpaired):
    mean = paired.mean(2)
    return [mean[0], mean[1:].mean(0), unpaired.mean(1)]


def u(a, b, same):
    products = a @ b.T
    if not same:
        return products.mean()
    count = len(a)
    return (products.sum() - np.trace(products)) / (count * (count - 1))


def expected(rows):
    shared = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], bool)
    return np.array(
        [
            [u(a, b, shared[i, j]) for j, b in enumerate(rows)]
            for i, a in enumerate(rows)
        ]
    )


def test_products_equal_brute_force(gradients):
    paired, unpaired = gradients[0][0], gradients[1][0]
    moments = level_moments(gram_of(paired, unpaired), CLASSES, UNPAIRED)
    rows = class_rows(paired, unpaired)
    wanted = expected(rows)
    assert moments.products() == pytest.approx((wanted + wanted.T) / 2)
    samples = [paired[0], paired[1:], unpaired]  # single draws of one degradation
    own = [(each**2).sum(-1).mean() for each in samples]
    assert moments.variances() == pytest.approx(own - np.diag(wanted))


def test_leaving_a_clip_out_equals_computing_without_it(gradients):
    paired, unpaired = gradients[0][0], gradients[1][0]
    moments = level_moments(gram_of(paired, unpaired), CLASSES, UNPAIRED)
    products, variances = moments.without()
    assert len(products) == 11
    short = level_moments(
        gram_of(np.delete(paired, 2, axis=1), unpaired), CLASSES, UNPAIRED
    )
    assert products[2] == pytest.approx(short.products())
    assert variances[2] == pytest.approx(short.variances())
    short = level_moments(
        gram_of(paired, np.delete(unpaired, 3, axis=0)),
        CLASSES,
        {"motion_degraded": [0, 1, 2, 3]},
    )
    assert products[6 + 3] == pytest.approx(short.products())
    assert variances[6 + 3] == pytest.approx(short.variances())


def test_jackknife_changes_each_set_of_clips_alone(gradients):
    paired, unpaired = gradients[0][0], gradients[1][0]
    moments = level_moments(gram_of(paired, unpaired), CLASSES, UNPAIRED)
    products, _ = moments.without()
    moved, _ = moments.jackknife()
    golden = products[:6, 0, 0]
    variance = 5 / 6 * ((golden - golden.mean()) ** 2).sum()
    assert (moved[:, 0, 0] ** 2).sum() == pytest.approx(variance)
    assert moved[6:, 0, 0] == pytest.approx(np.zeros(5))


def test_products_between_levels_equal_brute_force(gradients):
    grams = [gram_of(p, m) for p, m in zip(*gradients)]
    vectors = [vectors_of(p, CLASSES, m) for p, m in zip(*gradients)]
    moments = joint_moments(grams, vectors, CLASSES, UNPAIRED)
    rows = [class_rows(p, m) for p, m in zip(*gradients)]
    found = moments.products()
    assert found.shape == (6, 6)
    shared = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], bool)
    for i, j in np.ndindex(3, 3):
        first, second = rows[0][i], rows[1][j]
        both = u(first, second, shared[i, j])
        assert found[i, 3 + j] == pytest.approx(both, rel=1e-5, abs=1e-6)
    within = level_moments(grams[1], CLASSES, UNPAIRED)
    assert found[3:, 3:] == pytest.approx(within.products())
    alone = moments.of_level(1, 3)
    for mine, theirs in zip(alone.jackknife(), within.jackknife()):
        assert mine == pytest.approx(theirs)
    assert (alone.member == within.member).all()
    assert alone.variances() == pytest.approx(within.variances())
    cosines = cross_cosines(moments, 3)
    assert cosines[0].diagonal() == pytest.approx([1, 1])
    scale = np.sqrt(found[0, 0] * found[4, 4])
    assert cosines[1][0, 1] == pytest.approx(found[0, 4] / scale)


def sketched_level(paired, unpaired, parts=8):
    """Gram matrices and vectors of gradients [versions, clips, P] that are sketches."""
    versions, clips, size = paired.shape
    sketch = LevelSketch(
        {"a": (0, size // 2), "b": (size // 2, size)}, parts, paired, unpaired
    )
    draws = np.zeros((2, versions, clips, 1, 1))
    alone = np.zeros((2, len(unpaired), 1, 1))
    for index, (start, stop) in enumerate(sketch.groups.values()):
        draws[index, ..., 0, 0] = (paired[..., start:stop] ** 2).sum(-1)
        alone[index, ..., 0, 0] = (unpaired[..., start:stop] ** 2).sum(-1)
    losses = np.ones((clips, 1, versions))
    gram = sketched_gram(sketch, draws, losses, others_draws=alone).all_groups()
    return gram, ClassVectors.of_sketch(sketch, CLASSES.values())


@pytest.fixture
def sketched_levels():
    rng = np.random.default_rng(0)
    paired, unpaired = rng.normal(size=(2, 3, 6, 32)), rng.normal(size=(2, 5, 32))
    return zip(*(sketched_level(a + 0.5, b + 0.5) for a, b in zip(paired, unpaired)))


def test_parts_of_a_sketch_average_to_the_products(sketched_levels):
    joint = joint_moments(*sketched_levels, CLASSES, UNPAIRED)
    for moments in (joint, joint.of_level(0, 3)):
        assert moments.splits.mean(0) == pytest.approx(moments.products())
        squares = moments.single.sum(0) / moments.member.sum(0)
        assert moments.own_splits.mean(0) == pytest.approx(squares)


def test_the_sketch_is_a_source_of_error_of_its_own(sketched_levels):
    moments = joint_moments(*sketched_levels, CLASSES, UNPAIRED).of_level(0, 3)
    products, variances = moments.jackknife()
    assert products.shape == (11 + 8, 3, 3)
    stated = moments.splits.std(0, ddof=1) / np.sqrt(8)
    assert np.sqrt((products[11:] ** 2).sum(0)) == pytest.approx(stated)
    assert variances.shape == (11 + 8, 3)


def test_whole_gradients_have_a_sketch_error_between_levels_alone(sketched_levels):
    rng = np.random.default_rng(1)
    whole = [
        gram_of(rng.normal(size=(3, 6, 2, 30)), rng.normal(size=(5, 2, 30)))
        for _ in range(2)
    ]
    _, vectors = sketched_levels
    moments = joint_moments(whole, vectors, CLASSES, UNPAIRED)
    products, variances = (part[11:] for part in moments.jackknife())
    assert len(products) == 8
    for level in range(2):
        block = slice(3 * level, 3 * level + 3)
        assert np.abs(products[:, block, block]).max() < 1e-9
    assert np.abs(products[:, :3, 3:]).min(0).max() > 1e-3
    assert np.abs(variances).max() < 1e-9
    assert moments.splits.mean(0) == pytest.approx(moments.products())


def test_levels_may_have_fewer_clips(gradients):
    """An adaptive run stops some levels after their first clips."""
    paired, unpaired = gradients
    grams = [gram_of(paired[0][:, :4], unpaired[0]), gram_of(paired[1], unpaired[1])]
    vectors = [
        vectors_of(paired[0][:, :4], CLASSES, unpaired[0]),
        vectors_of(paired[1], CLASSES, unpaired[1]),
    ]
    moments = joint_moments(grams, vectors, CLASSES, UNPAIRED)
    assert moments.member[:, 0].tolist() == [True] * 4 + [False] * 7
    rows = [
        class_rows(paired[0][:, :4], unpaired[0]),
        class_rows(paired[1], unpaired[1]),
    ]
    found = moments.products()
    first, second = rows[0][0], rows[1][1]
    products = first @ second.T
    wanted = (products.sum() - np.trace(products)) / (4 * 6 - 4)
    assert found[0, 4] == pytest.approx(wanted, rel=1e-5)
    within = level_moments(grams[0], CLASSES, UNPAIRED).products()
    assert found[:3, :3] == pytest.approx(within)


def clips_with(rng, clips, draws, kept, fresh, means, size=200):
    """Gradients [versions, clips, draws, size]: of variance kept + fresh per clip."""
    shape = (len(means), clips, 1, size)
    own = rng.normal(0, np.sqrt(kept / size), shape)
    noise = rng.normal(0, np.sqrt(fresh / size), (len(means), clips, draws, size))
    return np.array(means)[:, None, None] + own + noise


def test_the_variance_of_a_pooled_class_is_that_of_one_random_copy():
    """K = 4: the mean over the copies of a clip varies by 7.0, one of them by 22.3."""
    rng = np.random.default_rng(5)
    common = rng.normal(0, np.sqrt(2 / 200), (1, 200, 1, 200))
    away = np.sqrt(0.3) * np.eye(200)[:5]  # means of the copies differ: 0.3 - 0.3 / 4
    copies = clips_with(rng, 200, 1, 20, 0, away) + common
    moments = level_moments(
        gram_of(copies), {"golden": [0], "visual_degraded": [1, 2, 3, 4]}, {}
    )
    truth = 2 + 20 + 0.3 * 3 / 4
    assert moments.variances()[1] == pytest.approx(truth, rel=0.02)
    pooled = moments.same[:, 1, 1].mean() - moments.products()[1, 1]
    assert pooled == pytest.approx(7.0, rel=0.03)  # what was taken for it


@pytest.mark.parametrize("draws", [1, 2, 8])
def test_the_variance_does_not_depend_on_the_number_of_draws(draws):
    rng = np.random.default_rng(6)
    rows = clips_with(rng, 200, draws, 1.0, 6.0, np.ones((2, 200)))
    moments = level_moments(gram_of(rows), {"golden": [0], "visual_degraded": [1]}, {})
    assert moments.variances() == pytest.approx([7.0, 7.0], rel=0.04)
    kept = moments.repeated.mean(0) - np.diag(moments.products())
    if draws == 1:
        assert np.isnan(kept).all()
    else:
        assert kept == pytest.approx([1.0, 1.0], abs=0.1)


@pytest.mark.parametrize(("draws", "expected"), [(1, 0.5), (4, 0.125)])
def test_levels_are_correlated_by_what_a_clip_keeps(draws, expected):
    """Clips of correlation 0.5 by what is kept of them, a quarter of a sample."""
    rng = np.random.default_rng(7)
    fresh = 0.0 if draws == 1 else 6.0
    common = rng.normal(0, np.sqrt(1 / 200), (1, 200, 1, 200))
    grams, vectors = [], []
    for _ in range(3):
        rows = clips_with(rng, 200, draws, 1.0, fresh, np.zeros((2, 200))) + common
        grams.append(gram_of(rows))
        vectors.append(vectors_of(rows, {"golden": [0], "visual_degraded": [1]}))
    moments = joint_moments(grams, vectors, {"golden": [0], "visual_degraded": [1]}, {})
    found = moments.correlations(2)
    for a, b in np.ndindex(6, 6):
        wanted = 1.0 if a == b else expected * ((a - b) % 2 == 0)
        assert found[a, b] == pytest.approx(wanted, abs=0.06)
