import numpy as np
import pytest
from stored_gradients import CLIPS, DRAWS, fill, finish, level_draws

from tqd_probe.core.errors import InputError
from tqd_probe.gradients import draws
from tqd_probe.gradients.store import GradientStore

SHARD = 400  # bytes of a draw: 3 versions of 50 numbers, and losses; at least


def shards(folder):
    return sorted(path.name for path in folder.glob("level-*/*"))


def test_a_quick_level_writes_no_draws(tmp_path):
    store = GradientStore(tmp_path, "f")
    fill(store)
    assert not shards(tmp_path)
    assert store.draws.count(0, paired=CLIPS) == (CLIPS * DRAWS, 0)
    assert store.draws.held_bytes > CLIPS * DRAWS * SHARD
    finish(store)
    assert store.draws.held_bytes == store.draws.written == 0
    assert store.draws.count(0, paired=CLIPS) == (0, 0)


def test_draws_are_written_when_too_much_would_be_lost(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(draws.time, "monotonic", lambda: now[0])
    store = GradientStore(tmp_path, "f")
    value, loss = np.zeros((1, 50), np.float32), np.zeros(1, np.float32)
    for seconds, files in ((0, 0), (59, 0), (61, 3), (100, 3), (161, 5)):
        now[0] = seconds
        store.put_draw(0, seconds, 0, value, loss)
        assert len(shards(tmp_path)) == files
    store.draws.reduce(0)  # what is reduced now needs no shard
    store.put_draw(0, 200, 0, value, loss)
    now[0] = 300
    store.put_draw(1, 0, 0, value, loss)
    assert len(shards(tmp_path)) == 5
    store.draws.write(reduced=True)
    assert len(shards(tmp_path)) == 7


def test_draws_that_come_faster_than_they_are_written_wait(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(draws.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(draws, "WRITE_RATE", 10.0)  # a draw has 204 bytes
    store = GradientStore(tmp_path, "f")
    value, loss = np.zeros((1, 50), np.float32), np.zeros(1, np.float32)
    for seconds, files in ((0, 0), (61, 0), (103, 5)):
        now[0] = seconds
        store.put_draw(0, seconds, 0, value, loss)
        store.put_draw(0, seconds, 1, value, loss)
        assert len(shards(tmp_path)) == files, seconds
    assert store.draws.count(0, paired=1000) == (6, 0)


def test_draws_that_do_not_fit_are_written_and_give_the_same_level(tmp_path):
    roomy, tight = (GradientStore(tmp_path / name, "f") for name in "rt")
    tight.draws.limit = 4 * SHARD
    for store in (roomy, tight):
        fill(store)
    assert len(shards(tmp_path / "t")) >= CLIPS * DRAWS - 4
    assert tight.draws.held_bytes <= tight.draws.limit
    held, read = finish(roomy), finish(tight)
    for name, value in held.tensors().items():
        np.testing.assert_array_equal(value, read.tensors()[name])
    assert tight.draws.written > CLIPS * DRAWS * SHARD / 2
    assert not shards(tmp_path / "t")


def test_the_main_process_reads_what_others_wrote(tmp_path):
    main = GradientStore(tmp_path, "f")
    other = GradientStore(tmp_path, "f", clean=False)
    alone = GradientStore(tmp_path / "alone", "f")
    odd = {(clip, draw) for clip, draw in np.ndindex(CLIPS, DRAWS) if clip % 2}
    fill(main, skip=odd)
    fill(other, skip=set(np.ndindex(CLIPS, DRAWS)) - odd)
    other.draws.write(release=True)
    assert other.draws.held_bytes == 0
    assert main.draws.has(0, 1, 0)
    fill(alone)
    expected = finish(alone)
    np.testing.assert_array_equal(finish(main).products, expected.products)
    assert main.draws.written == other.draws.written  # counted when removed


def test_columns_of_held_and_written_draws_are_equal(tmp_path):
    store = GradientStore(tmp_path, "f")
    fill(store)
    held = level_draws(store).columns().paired(3, 40)
    store.draws.write(release=True)
    read = level_draws(store).columns().paired(3, 40)
    np.testing.assert_array_equal(held, read)
    assert held.shape == (3, CLIPS, DRAWS, 37)
    assert held.dtype == read.dtype == np.float32


def test_a_removed_shard_is_named(tmp_path):
    store = GradientStore(tmp_path, "f")
    fill(store)
    store.draws.write(release=True)
    (tmp_path / "level-00" / "clip-0002-draw-00.safetensors").unlink()
    with pytest.raises(InputError, match=r"clip-0002-draw-00.*run the same command"):
        finish(store)


def test_draws_are_counted_beyond_ten_thousand_clips(tmp_path):
    store = GradientStore(tmp_path, "f")
    value, loss = np.zeros((1, 50), np.float32), np.zeros(1, np.float32)
    for clip in (0, 9_999, 10_000, 123_456):
        store.put_draw(3, clip, 0, value, loss)
    store.draws.write(release=True)
    store.put_draw(3, 0, 1, value, loss)
    assert store.draws.count(3, paired=10_000) == (3, 2)
    assert store.draws.count(4, paired=10_000) == (0, 0)
