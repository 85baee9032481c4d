import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import tqd_probe
from tqd_probe.core.signals import StopRequest, interrupts_blocked

STOPPED = "stopped while loading; nothing was changed\n"
INTERRUPT = """import os, signal, time
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(9)
except KeyboardInterrupt:  # as some libraries take it
    raise ImportError("loading failed") from None
"""
PREVIEW = ["preview", "train.toml"]
TRAIN = ["train", "--ckpt", "tiny", "--clips", "synthetic:4"]
TRAIN += ["--steps", "1", "--out", "out"]


@pytest.fixture(autouse=True)
def _interrupts():
    """Ctrl-C arrives also where the tests run in the background and it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_signal_is_noted_and_the_handlers_come_back():
    before = signal.getsignal(signal.SIGTERM)
    stop = StopRequest()
    assert stop.number == 0
    with stop.listening():
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.number == signal.SIGTERM
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.number == signal.SIGINT
    assert signal.getsignal(signal.SIGTERM) is before


def test_outside_the_main_thread_nothing_is_caught():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def work():
        with StopRequest().listening():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


@pytest.mark.parametrize(
    ("library", "how"),
    [
        ("pydantic", "-m tqd_probe"),
        ("pydantic", "-m tqd_probe."),
        ("pydantic", "tqd-probe"),
        ("scipy", "-m tqd_probe."),
        ("torch", "tqd-probe"),
    ],
)
def test_an_interrupt_while_loading_is_one_line(library, how, tmp_path):
    """Ctrl-C arrives inside the import of a library, early or late."""
    place = tmp_path / library
    place.mkdir()
    (place / "__init__.py").write_text(INTERRUPT)
    script = tmp_path / "tqd-probe"
    script.write_text("from tqd_probe.__main__ import main\nraise SystemExit(main())\n")
    command = TRAIN if library == "torch" else PREVIEW
    if how == "tqd-probe":
        words = [str(script), *command]
    elif how.endswith("."):
        words = ["-m", f"tqd_probe.{command[0]}", *command[1:]]
    else:
        words = ["-m", "tqd_probe", *command]
    paths = [str(tmp_path), str(Path(tqd_probe.__file__).parents[1])]
    done = subprocess.run(
        [sys.executable, *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr, done.stdout) == (130, STOPPED, "")
    assert not (tmp_path / "out").exists()


def test_another_program_keeps_its_own_interrupts():
    """The package is imported, and a command called, in a program of the user's."""
    code = """
import signal, tqd_probe
from tqd_probe.preview import main
from tqd_probe.core import signals
assert main([]) == 2
with signals.loading(), signals.interrupts_raised(lambda: 3):
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_ignored_interrupt_stays_ignored():
    """As after nohup, or in a job in the background."""
    code = """
import signal
from tqd_probe.core import signals
signal.signal(signal.SIGINT, signal.SIG_IGN)
signals.end_loading_on_interrupt()
assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_interrupts_are_raised_in_a_command_and_end_it_after_its_work():
    code = """
import os, signal
from tqd_probe.core import signals
signals.end_loading_on_interrupt()
with signals.interrupts_raised(lambda: 3):
    with signals.loading():
        assert signal.getsignal(signal.SIGINT) is signals.end_while_loading
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        print("raised")
os.kill(os.getpid(), signal.SIGINT)
print("not reached")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (3, "raised\n", "")


def test_a_process_started_with_interrupts_blocked_does_not_receive_them():
    code = "import os, signal; os.kill(os.getpid(), signal.SIGINT); print('alive')"
    with interrupts_blocked():
        done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert (done.returncode, done.stdout) == (0, b"alive\n")
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
