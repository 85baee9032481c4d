from dataclasses import replace

import numpy as np
import pytest
from stored_gradients import (
    CLIPS,
    DRAWS,
    REDUCTION,
    UNPAIRED,
    fill,
    fill_sketched,
    fill_unpaired,
    finish,
    gradients,
)

from tqd_probe.core.errors import ConfigurationChanged, InputError
from tqd_probe.gradients.store import GradientStore


def test_resume_knows_its_draws_and_gives_the_same_bytes(tmp_path):
    whole = GradientStore(tmp_path / "a", "f")
    fill(whole)
    finish(whole)
    broken = GradientStore(tmp_path / "b", "f")
    fill(broken, skip={(2, 1), (3, 0)})
    broken.draws.write()
    (tmp_path / "b" / "level-00" / ".x.part").write_bytes(b"torn")
    again = GradientStore(tmp_path / "b", "f")
    assert not list(tmp_path.rglob("*.part"))
    assert again.draws.has(0, 2, 0)
    assert not again.draws.has(0, 2, 1)
    fill(again, skip=set(np.ndindex(CLIPS, DRAWS)) - {(2, 1), (3, 0)})
    finish(again)
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
    store.draws.write(release=True)
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
        finish(store)
    assert (tmp_path / "level-00").exists()
    path.unlink()  # the cure
    fill(store, skip=set(np.ndindex(CLIPS, DRAWS)) - {(1, 1)})
    finish(store)


def test_a_damaged_gram_is_named(tmp_path):
    store = GradientStore(tmp_path, "f")
    fill(store)
    finish(store)
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
        finish(store, level)
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
    with pytest.raises(
        InputError, match=r"store.json: fingerprint: missing; delete this file"
    ):
        GradientStore(tmp_path, "f")


def test_a_damaged_sketch_is_named(tmp_path):
    store = GradientStore(tmp_path, "f")
    fill_sketched(store)
    finish(store)
    path = tmp_path / "sketch-00.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(InputError, match=r"sketch-00.safetensors: damaged"):
        store.level(0)


def test_moments_take_the_place_of_vectors(tmp_path):
    store = GradientStore(tmp_path, "f")
    fill(store)
    finish(store)
    assert store.has_level(0)
    assert not store.has_moments()
    (tmp_path / "vectors-00.safetensors").rename(tmp_path / "aside")
    assert not store.has_level(0)  # products between levels would be missing
    (tmp_path / "aside").rename(tmp_path / "vectors-00.safetensors")
    store.put_moments({"same": np.eye(3)})
    store.condense(1)
    assert store.has_level(0)
    assert not (tmp_path / "vectors-00.safetensors").exists()
    assert store.moments()["same"].tolist() == np.eye(3).tolist()
    written, kept = store.sizes()
    files = [p for p in tmp_path.iterdir() if p.name != "store.json"]
    assert kept == sum(p.stat().st_size for p in tmp_path.iterdir())
    assert written > sum(p.stat().st_size for p in files)  # vectors were written too
    path = tmp_path / "moments.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(InputError, match=r"moments.safetensors: damaged"):
        store.moments()


def test_sketches_give_way_to_products_where_these_are_smaller(tmp_path):
    store = GradientStore(tmp_path, "f")
    fill_sketched(store)
    fill_unpaired(store, gradients(3)[:UNPAIRED, :, 0])
    reduction = replace(REDUCTION, unpaired=[[0, 1, 2]])
    before = finish(store, unpaired=UNPAIRED, reduction=reduction)
    assert store.vectors(0, REDUCTION).parts == before.splits.shape[1]
    store.put_moments({"same": np.eye(3)})
    store.condense(1)
    assert not (tmp_path / "sketch-00.safetensors").exists()
    after = store.level(0)
    assert before.others_splits.shape == (2, 1, 2, before.splits.shape[1])
    for name, value in before.tensors().items():
        np.testing.assert_array_equal(value, after.tensors()[name])
