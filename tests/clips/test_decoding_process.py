import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from child_processes import in_child
from crashing_decoder import crash_on, endless_on
from video_files import encode, numbered, one_line

from tqd_probe.clips import decoding_process
from tqd_probe.clips.decode import decode_frames, decode_size
from tqd_probe.clips.decoding_process import (
    DecodingProcess,
    check_whole,
    end_decoding_processes,
    read_frames,
    read_size,
)
from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.video import VideoClip
from tqd_probe.core.errors import BadClip, ClipTooSmall, InputError

SHAPE = ClipShape(frames=5, height=16, width=32, fps=8)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("videos") / "a.mp4"
    encode(path, numbered(20))
    return path


@pytest.fixture(autouse=True)
def fresh_processes():
    end_decoding_processes()
    yield
    end_decoding_processes()


def test_frames_and_sizes_are_those_of_this_process(video):
    found, interlaced = read_frames(video, SHAPE, 1.5)
    wanted, _ = decode_frames(video, SHAPE, 1.5)
    np.testing.assert_array_equal(found, wanted)
    assert (found.dtype, found.flags.writeable, interlaced) == (np.uint8, True, False)
    assert read_size(video) == decode_size(video) == (1.25, 32, 64)


def test_a_file_is_checked_to_its_end(video, tmp_path, monkeypatch):
    check_whole(video)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(video.read_bytes()[:-300])
    with pytest.raises(BadClip, match=r"cut\.mp4: video: "):
        check_whole(cut)
    crash_on(monkeypatch, "a.mp4", signal.SIGSEGV)
    with pytest.raises(BadClip, match="crashes its decoder"):
        check_whole(video)


def test_relative_paths_start_where_this_process_is(video, monkeypatch):
    read_size(video)  # a process was started elsewhere
    monkeypatch.chdir(video.parent)
    assert read_size(Path("a.mp4"))[1:] == (32, 64)


def test_a_bad_file_is_refused_as_in_this_process(video, tmp_path):
    text = tmp_path / "b.mp4"
    text.write_text("no video")
    with pytest.raises(BadClip) as error:
        read_frames(text, SHAPE, 1.0)
    with pytest.raises(BadClip) as here:
        decode_frames(text, SHAPE, 1.0)
    assert str(error.value) == str(here.value)
    with pytest.raises(ClipTooSmall, match="smaller than the wanted 64 x 64"):
        read_frames(video, ClipShape(5, 64, 64, 8), 1.0)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
def test_a_file_that_crashes_its_decoder_is_a_bad_clip(video, monkeypatch, number):
    crash_on(monkeypatch, "crash", number)
    path = video.parent / "crash.mp4"
    with pytest.raises(BadClip) as error:
        VideoClip("a", "b", path).read(SHAPE)
    one_line(error, f"{path}: video: crashes its decoder ({number.name})", "replace it")
    found, _ = read_frames(video, SHAPE, 1.0)  # others are read as before
    np.testing.assert_array_equal(found, decode_frames(video, SHAPE, 1.0)[0])
    with pytest.raises(BadClip, match="crashes its decoder"):
        read_size(path)


def test_a_decoder_that_was_killed_may_have_lacked_memory(video, monkeypatch):
    crash_on(monkeypatch, "a.mp4", signal.SIGKILL)
    with pytest.raises(BadClip, match=r"killed \(SIGKILL\), as where memory runs out"):
        read_frames(video, SHAPE, 1.0)


def test_a_decoder_that_never_ends_is_ended(video, monkeypatch):
    endless_on(monkeypatch, "endless", limit=0.5)
    path = video.parent / "endless.mp4"
    path.write_bytes(video.read_bytes())
    with pytest.raises(BadClip) as error:
        VideoClip("a", "b", path).read(SHAPE)
    one_line(error, f"{path}: video: its decoder gave no frame in 120 s", "replace it")
    found, _ = read_frames(video, SHAPE, 1.0)  # others are read as before
    np.testing.assert_array_equal(found, decode_frames(video, SHAPE, 1.0)[0])


def test_a_process_that_ended_while_it_waited_is_replaced(video):
    read_size(video)
    waiting = decoding_process._idle.waiting[0]._process
    waiting.kill()
    waiting.wait()
    assert read_size(video)[1:] == (32, 64)
    assert decoding_process._idle.waiting[0]._process.pid != waiting.pid


def test_no_file_is_blamed_where_no_process_starts(video, monkeypatch):
    monkeypatch.setattr(decoding_process, "SERVE", "import absent_module")
    with pytest.raises(InputError) as error:
        read_frames(video, SHAPE, 1.0)
    assert not isinstance(error.value, BadClip)
    one_line(error, "no process to decode it could be started (exit code 1)")


def test_threads_have_processes_of_their_own_and_these_end(video):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(read_frames(video, SHAPE, 1.0)[0]))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    started = [each._process for each in decoding_process._idle.waiting]
    assert 1 <= len(started) <= 3
    end_decoding_processes()
    assert all(each.returncode is not None for each in started)
    assert decoding_process._idle.waiting == []


def test_a_forked_process_does_not_talk_to_the_decoder_of_its_parent(video):
    read_size(video)
    parents = decoding_process._idle.waiting[0]._process.pid

    def forked():
        if decoding_process._idle.waiting:
            return 1
        read_size(video)
        own = decoding_process._idle.waiting[0]._process.pid
        end_decoding_processes()
        return 2 if own == parents else 0

    assert in_child(forked) == 0
    assert read_size(video)[1:] == (32, 64)


def test_a_process_ends_with_the_one_that_started_it():
    code = (
        "import os; from tqd_probe.clips.decoding_process import DecodingProcess;"
        " print(DecodingProcess()._process.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    os_pid = int(done.stdout)
    for _ in range(200):
        if not Path(f"/proc/{os_pid}/cmdline").exists():
            break
        threading.Event().wait(0.05)
    else:
        os.kill(os_pid, signal.SIGKILL)
        pytest.fail("it outlived its parent")


def test_an_interrupt_does_not_reach_the_process(video):
    process = DecodingProcess()
    process._process.send_signal(signal.SIGINT)
    answer, _ = process.ask(task="size", path=str(video), folder=None)
    assert answer == {"size": [1.25, 32, 64]}
    process.close()
