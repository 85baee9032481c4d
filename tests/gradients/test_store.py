import numpy as np
import pytest
from stored_gradients import (
    CLIPS,
    DRAWS,
    LAYOUT,
    SIZE,
    SKETCH,
    fill,
    fill_sketched,
)

from tqd_probe.core.errors import ConfigurationChanged, InputError
from tqd_probe.gradients.store import GradientStore


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


def test_a_damaged_sketch_is_named(tmp_path):
    store = GradientStore(tmp_path, "f")
    fill_sketched(store)
    store.finish_level(0, CLIPS, DRAWS, LAYOUT, SKETCH)
    path = tmp_path / "sketch-00.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(InputError, match=r"sketch-00.safetensors: damaged"):
        store.level(0)


def test_draws_are_counted_beyond_ten_thousand_clips(tmp_path):
    store = GradientStore(tmp_path, "f")
    value, loss = np.zeros((1, SIZE), np.float32), np.zeros(1, np.float32)
    for clip in (0, 9_999, 10_000, 123_456):
        store.put_draw(3, clip, 0, value, loss)
    store.put_draw(3, 0, 1, value, loss)
    assert store.count_draws(3, paired=10_000) == (3, 2)
    assert store.count_draws(4, paired=10_000) == (0, 0)
