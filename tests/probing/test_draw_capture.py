"""Inputs prepared ahead, and results finished behind: the numbers do not change."""

import threading

import pytest
from probe_runs import finished, result, results

from tqd_probe.core.errors import GradientError
from tqd_probe.probing import draw_capture
from tqd_probe.probing.draw_capture import DrawCapture

SMALL_PASSES = "--batch-size 3 --levels 0.3,0.8 --draws 1"


@pytest.fixture
def deferred(monkeypatch):
    """Treat the CPU as a GPU: a micro-batch is finished after the next is launched."""
    make, finish = DrawCapture.__init__, DrawCapture._finish
    order = []

    def prepare(self, *rest):
        make(self, *rest)
        self.deferred = True

    def noted(self, batch):
        order.append((batch, self._launched))
        return finish(self, batch)

    monkeypatch.setattr(DrawCapture, "__init__", prepare)
    monkeypatch.setattr(DrawCapture, "_finish", noted)
    return order


@pytest.mark.parametrize("extra", [SMALL_PASSES, SMALL_PASSES + " --sketch 8192"])
def test_finishing_behind_the_next_pass_changes_no_byte(
    pipeline, tmp_path, deferred, monkeypatch, extra
):
    finished(pipeline, tmp_path / "deferred", extra=extra)
    assert [len(batch.draws) for batch, _ in deferred] == [3, 2] * 2  # a level's five
    behind = [later is not None and later is not batch for batch, later in deferred]
    assert behind == [True, False] * 2  # the last of a level alone
    monkeypatch.undo()
    finished(pipeline, tmp_path / "plain", extra=extra)
    assert results(tmp_path / "deferred") == results(tmp_path / "plain")
    assert result(tmp_path / "plain")["cost"]["passes"] == 2 * (4 + 3)


def test_a_gradient_that_is_not_finite_is_named_behind_the_next_pass(
    pipeline, tmp_path, deferred, monkeypatch
):
    """Only the captured draws are spoilt: the checks before the run pass."""
    launch = DrawCapture._launch

    def spoilt(self, level, rows, ahead, alone):
        found = launch(self, level, rows, ahead, alone)
        if level == 1 and [draw.clip for draw, _ in rows] == [2]:  # its last three
            found.gradients[2, 5] = float("nan")
        return found

    monkeypatch.setattr(DrawCapture, "_launch", spoilt)
    with pytest.raises(
        GradientError,
        match=r"synthetic-0-00002 \(identity:1\), sigma 0\.8, module .*not finite",
    ):
        finished(pipeline, tmp_path / "x", extra=SMALL_PASSES)


def test_the_inputs_of_every_pass_are_prepared_once_and_ahead(
    pipeline, tmp_path, monkeypatch
):
    made, prepare = [], draw_capture.batch_losses

    def noted(workspace, rows, sigma):
        ahead = threading.current_thread() is not threading.main_thread()
        counts = [(draw.clip, len(versions)) for draw, versions in rows]
        made.append((round(sigma, 2), counts, ahead))
        return prepare(workspace, rows, sigma)

    monkeypatch.setattr(draw_capture, "batch_losses", noted)
    finished(pipeline, tmp_path / "x", extra=SMALL_PASSES)
    sigmas = [made[0][0], made[-1][0]]
    passes = [[(0, 3)], [(0, 1), (1, 2)], [(1, 2), (2, 1)], [(2, 3)]]
    passes += [[(3, 3)], [(3, 1), (4, 2)], [(4, 2)]]
    assert made == [
        (sigma, counts, counts != [(0, 3)])  # the first of a level is not
        for sigma in sigmas
        for counts in passes
    ]
