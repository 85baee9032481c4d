import os
import signal

from child_processes import in_child

from tqd_probe.clips import decoder_time


def left():
    return signal.getitimer(signal.ITIMER_PROF)[0]


def test_only_a_process_that_asks_for_it_is_limited():
    decoder_time.start_frame()
    assert left() == 0
    assert decoder_time.LIMIT_S == 120
    assert signal.getsignal(decoder_time.ENDED_BY) == signal.SIG_DFL


def test_each_frame_has_the_whole_limit_and_no_time_counts_between_files():
    def limited():
        decoder_time.limit_decoder_time()
        decoder_time.start_frame()
        signal.setitimer(signal.ITIMER_PROF, 1.0)
        decoder_time.start_frame()
        if not 119 < left() <= 120.1:
            return 1
        decoder_time.stop()
        return 0 if left() == 0 else 2

    assert in_child(limited) == 0


def test_the_signal_ends_the_process():
    child = os.fork()
    if child == 0:
        decoder_time.LIMIT_S = 0.05
        decoder_time.limit_decoder_time()
        decoder_time.start_frame()
        pow(3, 10**10)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == decoder_time.ENDED_BY
