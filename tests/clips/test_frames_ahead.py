import threading

import numpy as np
import pytest

from tqd_probe.clips.degradations import EFFECTS, Degradation
from tqd_probe.clips.frames_ahead import FramesAhead, choose_workers, read_version
from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.core.errors import BadClip

SHAPE = ClipShape(9, 32, 32, 16)
COPIES = (
    None,
    Degradation("blur", 3),
    Degradation("jitter", 2),
    Degradation("slow", 1),
)


class Counted:
    """A synthetic clip that notes how often and in which thread it is drawn."""

    def __init__(self, index, damaged=False):
        self.clip, self.reads, self.damaged = synthetic_clip(index), [], damaged
        self.id, self.caption = self.clip.id, self.clip.caption

    def identity(self):
        return self.clip.identity()

    def read(self, shape, slow=1.0):
        self.reads.append((shape == SHAPE and slow == 1, threading.current_thread()))
        if self.damaged:
            raise BadClip(f"{self.id}: damaged")
        return self.clip.read(shape, slow)


def ahead(versions, workers, is_wanted=lambda clip, degradation: True):
    return FramesAhead(versions, SHAPE, 5, workers, is_wanted)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_frames_are_those_that_are_read_one_by_one(workers):
    clips = [Counted(index) for index in range(4)]
    versions = [(clip, copy) for clip in clips for copy in COPIES]
    with ahead(versions, workers) as frames:
        for clip, copy in versions:
            found = frames.take(clip, copy)
            assert np.array_equal(found, read_version((clip.clip, copy), SHAPE, 5))
            assert frames.take(clip, copy) is found  # for the first frame
    for clip in clips:
        # drawn once for all; jitter and slow motion draw it again in their own way
        assert sum(plain for plain, _ in clip.reads) == 1
        assert len(clip.reads) == 3
    threads = {thread for clip in clips for _, thread in clip.reads}
    assert (threading.main_thread() in threads) == (workers == 0)


def test_threads_read_no_further_ahead_than_twice_their_number():
    clips = [Counted(index) for index in range(20)]
    with ahead([(clip, None) for clip in clips], 2) as frames:
        frames.take(clips[0], None)
        frames._pool.shutdown()  # waits for what was given
        assert [len(clip.reads) for clip in clips] == [1] * 5 + [0] * 15


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_clip_fails_where_it_is_taken(workers):
    clips = [Counted(0), Counted(1, damaged=True), Counted(2)]
    versions = [(clip, copy) for clip in clips for copy in COPIES]
    with ahead(versions, workers) as frames:
        frames.take(clips[0], None)
        with pytest.raises(BadClip, match="synthetic-0-00001: damaged"):
            frames.take(clips[1], None)
        expected = synthetic_clip(2).read(SHAPE)
        assert np.array_equal(frames.take(clips[2], None), expected)


def test_what_is_not_wanted_is_not_read_until_it_is_taken():
    clips = [Counted(index) for index in range(3)]
    versions = [(clip, None) for clip in clips]
    with ahead(versions, 1, lambda clip, _: clip.id != clips[1].id) as frames:
        frames.take(clips[0], None)
        frames.take(clips[2], None)
        assert [len(clip.reads) for clip in clips] == [1, 0, 1]
    with ahead(versions, 1, lambda clip, _: False) as frames:
        expected = synthetic_clip(1).read(SHAPE)
        assert np.array_equal(frames.take(clips[1], None), expected)


def test_a_version_that_was_not_announced_is_read():
    clip = Counted(0)
    with ahead([], 2) as frames:
        assert np.array_equal(frames.take(clip, None), clip.clip.read(SHAPE))


@pytest.mark.parametrize("name", sorted(EFFECTS))
def test_no_degradation_changes_the_frames_it_is_given(name):
    """They are shared by all versions of a clip."""
    clip = Counted(3)
    video = clip.clip.read(SHAPE)
    given = video.copy()
    clip.read = lambda shape, slow=1.0: (
        given if shape == SHAPE else clip.clip.read(shape)
    )
    Degradation(name, len(EFFECTS[name].amounts)).apply(clip, SHAPE, 0)
    assert np.array_equal(given, video)


def test_threads_leave_cores_for_the_network(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(16))
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    assert [choose_workers(n, "cpu") for n in (None, 0, 5)] == [1, 0, 5]
    assert choose_workers(None, "cuda") == 8
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert choose_workers(None, "cuda") == 3
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(2))
    assert choose_workers(None, "cuda:1") == 1
