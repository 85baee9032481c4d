import json
import os
import random
import resource
import signal
import time

import pytest
import torch

from tqd_probe.core.errors import InputError
from tqd_probe.training.checkpoint import CheckpointStore, find_fault


def content(step):
    """What a run would save at a step: all of it says which step it is of."""
    values = {name: torch.full((400, 100), float(step)) for name in ("a", "b")}
    return {"parameters": values, "optimiser": dict(values)}, {"step": step}


def whole(checkpoint):
    parts = [checkpoint.tensors(name) for name in ("parameters", "optimiser")]
    values = {float(v) for part in parts for t in part.values() for v in t.unique()}
    return values == {float(checkpoint.step)} and checkpoint.state() == {
        "step": checkpoint.step
    }


def export(folder):
    folder.mkdir()
    (folder / "weights.bin").write_bytes(b"w" * 1000)


def test_save_read_and_prune(tmp_path):
    store = CheckpointStore(tmp_path / "c", keep=2)
    assert store.latest() == (None, [])
    for step in (1, 2, 10):
        store.save(step, *content(step), export)
    names = sorted(p.name for p in (tmp_path / "c").iterdir())
    assert names == ["step-00000002", "step-00000010"]
    latest, skipped = store.latest()
    assert (latest.step, skipped) == (10, [])
    assert whole(latest)
    assert (latest.folder / "weights" / "weights.bin").exists()
    store.save(10, *content(10), export)  # again, after a resume
    assert whole(store.latest()[0])


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda f: (f / "manifest.json").unlink(), "no such file"),
        (lambda f: (f / "manifest.json").write_text('{"fil'), "not JSON"),
        (lambda f: (f / "state.json").unlink(), "state.json is missing"),
        (
            lambda f: os.truncate(f / "optimiser.safetensors", 99),
            "optimiser.safetensors has 99 of",
        ),
        (
            lambda f: (f / "state.json").write_text(
                (f / "state.json").read_text().replace("2", "3")
            ),
            "state.json is damaged",
        ),
    ],
)
def test_latest_skips_what_is_damaged_and_says_why(tmp_path, damage, reason):
    store = CheckpointStore(tmp_path, keep=5)
    for step in (1, 2):
        store.save(step, *content(step))
    damage(tmp_path / "step-00000002")
    latest, skipped = store.latest()
    assert latest.step == 1
    assert len(skipped) == 1
    assert reason in skipped[0]
    assert "step-00000002" in skipped[0]


def forked(work):
    """Run a function in a child process; returns its id."""
    child = os.fork()
    if child:
        return child
    torch.set_num_threads(1)  # other threads do not survive a fork
    try:
        work()
    finally:
        os._exit(1)


def test_twenty_kills_while_checkpoints_are_written(tmp_path):
    """Never an invalid latest, never a mixture of two checkpoints."""
    random.seed(4)
    folder = tmp_path / "c"

    def work():
        store = CheckpointStore(folder, keep=2)
        latest, _ = store.latest()
        step = latest.step if latest else 0
        while True:
            step += 1
            store.save(step, *content(step), export)

    store, last = CheckpointStore(folder, keep=2), 0
    for _ in range(20):
        child = forked(work)
        time.sleep(random.uniform(0.02, 0.35))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        latest, skipped = store.latest()
        assert skipped == []  # a rename is all or nothing
        if latest is None:
            continue
        assert latest.step >= last
        assert whole(latest)
        assert find_fault(latest.folder) is None
        last = latest.step
    assert last >= 8  # the kills did meet writing


@pytest.mark.parametrize("before", [True, False])
def test_a_full_disk_loses_nothing(tmp_path, before):
    store = CheckpointStore(tmp_path, keep=3)
    if before:
        store.save(1, *content(1))
    report = tmp_path / "report.json"

    def work():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        try:
            store.save(2, *content(2))
        except InputError as error:
            report.write_text(json.dumps(str(error)))

    os.waitpid(forked(work), 0)
    message = json.loads(report.read_text())
    assert "step-00000002: cannot be written" in message
    assert f"the same command {'resumes' if before else 'starts anew'}" in message
    report.unlink()
    if not before:
        assert list(tmp_path.iterdir()) == []
        return
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000001"]
    assert whole(store.latest()[0])
