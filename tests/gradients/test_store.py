import numpy as np
import pytest
import torch

from tqd_probe.core.errors import ConfigurationChanged, InputError
from tqd_probe.gradients.gram import gram_from_columns
from tqd_probe.gradients.layout import Layout
from tqd_probe.gradients.sketch import SPLITS, Sketch
from tqd_probe.gradients.store import GradientStore

CLIPS, DRAWS, CONDITIONS, SIZE = 4, 2, 3, 50
GROUPS = {"embedding": (0, 20), "block00.feed_forward": (20, 50)}
LAYOUT = Layout({"a": (0, 20), "b": (20, 50)}, GROUPS, {"a": (20,), "b": (5, 6)}, SIZE)
SKETCH = Sketch(LAYOUT, 4096)


def gradients(level=0):
    rng = np.random.default_rng(level)
    return rng.normal(size=(CLIPS, DRAWS, CONDITIONS, SIZE)).astype(np.float32)


def fill(store, level=0, skip=()):
    values = gradients(level)
    for clip, draw in np.ndindex(CLIPS, DRAWS):
        if (clip, draw) not in skip:
            losses = np.full(CONDITIONS, 10 * clip + draw, np.float32)
            store.put_draw(level, clip, draw, values[clip, draw], losses)


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

    losses = np.zeros((CLIPS, DRAWS, CONDITIONS))
    whole = gram_from_columns(columns, GROUPS, losses, 1000)
    parts = gram_from_columns(columns, GROUPS, losses, 7)
    np.testing.assert_allclose(whole.products, parts.products, rtol=1e-12)


def test_resume_knows_its_draws_and_gives_the_same_bytes(tmp_path):
    whole = GradientStore(tmp_path / "a", "f")
    fill(whole)
    whole.finish_level(0, CLIPS, DRAWS, LAYOUT, SKETCH)
    broken = GradientStore(tmp_path / "b", "f")
    fill(broken, skip={(2, 1), (3, 0)})
    (tmp_path / "b" / "level-00" / ".x.part").write_bytes(b"torn")
    again = GradientStore(tmp_path / "b", "f")
    assert not list(tmp_path.rglob("*.part"))
    assert again.has_draw(0, 2, 0)
    assert not again.has_draw(0, 2, 1)
    fill(again, skip=set(np.ndindex(CLIPS, DRAWS)) - {(2, 1), (3, 0)})
    again.finish_level(0, CLIPS, DRAWS, LAYOUT, SKETCH)
    name = "gram-00.safetensors"
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_another_fingerprint_is_refused(tmp_path):
    GradientStore(tmp_path, "f")
    assert GradientStore.matches(tmp_path, "f")
    assert not GradientStore.matches(tmp_path, "g")
    with pytest.raises(ConfigurationChanged, match="another configuration"):
        GradientStore(tmp_path, "g")


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "text"])
def test_a_damaged_shard_is_named_with_the_cure(tmp_path, damage):
    store = GradientStore(tmp_path, "f")
    fill(store)
    path = tmp_path / "level-00" / "clip-0001-draw-01.safetensors"
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[-3] ^= 1
    elif damage == "truncate":
        data = data[:-8]
    elif damage == "empty":
        data = b""
    else:
        data = b"not a shard"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"clip-0001-draw-01.*damaged.*delete this"):
        store.finish_level(0, CLIPS, DRAWS, LAYOUT, SKETCH)
    assert (tmp_path / "level-00").exists()
    path.unlink()  # the cure
    fill(store, skip=set(np.ndindex(CLIPS, DRAWS)) - {(1, 1)})
    store.finish_level(0, CLIPS, DRAWS, LAYOUT, SKETCH)


def test_a_damaged_gram_is_named(tmp_path):
    store = GradientStore(tmp_path, "f")
    fill(store)
    store.finish_level(0, CLIPS, DRAWS, LAYOUT, SKETCH)
    path = tmp_path / "gram-00.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"gram-00.safetensors: damaged"):
        store.level(0)


def test_files_cannot_stand_for_one_another(tmp_path):
    store = GradientStore(tmp_path, "f")
    for level in (0, 1):
        fill(store, level)
        store.finish_level(level, CLIPS, DRAWS, LAYOUT, SKETCH)
    first, second = (tmp_path / f"gram-0{i}.safetensors" for i in (0, 1))
    first.write_bytes(second.read_bytes())
    with pytest.raises(InputError, match=r"gram-00.safetensors: damaged"):
        store.level(0)


@pytest.mark.parametrize("text", ["[]", "{}", "null", '{"covered_share": 5.0}'])
def test_a_damaged_note_is_named(tmp_path, text):
    store = GradientStore(tmp_path, "f")
    assert store.covered_share(lambda: 0.75) == 0.75
    (tmp_path / "coverage.json").write_text(text)
    with pytest.raises(InputError, match=r"coverage.json: covered_share"):
        store.covered_share(lambda: 1.0)
    (tmp_path / "store.json").write_text(text)
    with pytest.raises(InputError, match=r"store.json: fingerprint"):
        GradientStore(tmp_path, "f")


def sketched(values):
    return SKETCH.of_flat(torch.from_numpy(values)).numpy()


def fill_sketched(store, level=0, exact=True):
    """Shards of sketches, with exact norms or none."""
    values = gradients(level)
    for clip, draw in np.ndindex(CLIPS, DRAWS):
        one = values[clip, draw]
        norms = [(one[:, a:b].astype(float) ** 2).sum(1) for a, b in GROUPS.values()]
        norms = np.stack(norms, 1) if exact else np.full((CONDITIONS, 2), np.nan)
        losses = np.zeros(CONDITIONS, np.float32)
        store.put_draw(level, clip, draw, sketched(one), losses, norms)


def test_sketched_shards_are_reduced_to_sketches(tmp_path):
    store = GradientStore(tmp_path, "f")
    fill_sketched(store)
    peeked = store.peek(0, CLIPS, DRAWS, LAYOUT, SKETCH)
    gram = store.finish_level(0, CLIPS, DRAWS, LAYOUT, SKETCH)
    np.testing.assert_array_equal(gram.products, peeked.products)
    values = gradients()
    mean = values.mean(1)
    for index, (start, stop) in enumerate(GROUPS.values()):
        own = slice(*SKETCH.groups[list(GROUPS)[index]])
        part = sketched(mean.reshape(-1, SIZE))[:, own].reshape(CLIPS, CONDITIONS, -1)
        right = np.einsum("icp,jdp->cidj", part, part)
        off = ~np.eye(CLIPS, dtype=bool)[None, :, None, :].repeat(CONDITIONS, 0)
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
        assert gram.splits[index].shape == (SPLITS, CONDITIONS, CONDITIONS)
        np.testing.assert_allclose(gram.splits[index].mean(0), pairs, atol=1e-6)


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


def test_a_damaged_sketch_is_named(tmp_path):
    store = GradientStore(tmp_path, "f")
    fill_sketched(store)
    store.finish_level(0, CLIPS, DRAWS, LAYOUT, SKETCH)
    path = tmp_path / "sketch-00.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(InputError, match=r"sketch-00.safetensors: damaged"):
        store.level(0)


UNPAIRED = 3


def fill_unpaired(store, values):
    """Shards of sketched unpaired clips after the paired ones."""
    for clip, draw in np.ndindex(*values.shape[:2]):
        one = values[clip, draw][None]
        norms = [(one[:, a:b].astype(float) ** 2).sum(1) for a, b in GROUPS.values()]
        norms = np.stack(norms, 1)
        losses = np.zeros(1, np.float32)
        store.put_draw(0, CLIPS + clip, draw, sketched(one), losses, norms)


def test_sketched_products_of_unpaired_clips_and_of_draws(tmp_path):
    """As reduced from whole gradients, but of the sketches."""
    store = GradientStore(tmp_path, "f")
    fill_sketched(store)
    rng = np.random.default_rng(7)
    others = rng.normal(size=(UNPAIRED, DRAWS, SIZE)).astype(np.float32)
    fill_unpaired(store, others)
    places = range(CLIPS, CLIPS + UNPAIRED)
    gram = store.finish_level(0, CLIPS, DRAWS, LAYOUT, SKETCH, places)
    values = np.moveaxis(gradients(), 2, 0)  # conditions in front
    small = sketched(values.reshape(-1, SIZE)).reshape(CONDITIONS, CLIPS, DRAWS, -1)
    alone = sketched(others.reshape(-1, SIZE)).reshape(UNPAIRED, DRAWS, -1)
    losses = np.zeros((CLIPS, DRAWS, CONDITIONS))
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
