import threading

import pytest

from tqd_probe.probing.background_writer import BackgroundWriter


def test_one_task_at_a_time_in_the_order_given():
    done, running = [], []

    def task(number):
        running.append(threading.get_ident())
        done.append(number)

    with BackgroundWriter() as writer:
        for number in range(20):
            writer.submit(task, number)
            assert len(done) >= number  # all but the last one are finished
    assert done == list(range(20))
    assert set(running) != {threading.get_ident()}
    assert len(set(running)) == 1


def test_an_error_surfaces_at_the_next_task_and_at_the_end():
    def full():
        raise OSError("disk full")

    with BackgroundWriter() as writer:
        writer.submit(full)
        with pytest.raises(OSError, match="disk full"):
            writer.submit(print)
    with pytest.raises(OSError, match="disk full"):
        with BackgroundWriter() as writer:
            writer.submit(full)
