"""Cost of a run: counted for the result, predicted and measured for the user.

Passes, floating-point operations and bytes are counted and the same every time: they
are part of ``gradsim.json``. Seconds and memory are measured and never twice the same:
they go to ``cost.json``, so that a resumed run still ends with the same bytes in
``gradsim.json`` and ``bands.json``.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from tqd_probe.core.files import write_json
from tqd_probe.core.memory import PeakMemory, is_out_of_memory
from tqd_probe.gradients.capture import GradientCapture
from tqd_probe.gradients.gram import LevelGram
from tqd_probe.probing import wall_time
from tqd_probe.probing.adaptive import interim_stages
from tqd_probe.probing.batch_size import plain_pass
from tqd_probe.probing.losses import batch_losses
from tqd_probe.probing.micro_batches import (
    divide,
    micro_batches,
    micro_batches_by_stage,
)
from tqd_probe.probing.pass_sizes import PassSizes, Place
from tqd_probe.probing.result import CountedCost
from tqd_probe.probing.wall_time import COST_FILE, described, predicted_parts
from tqd_probe.probing.workspace import Workspace

log = logging.getLogger("tqd_probe")


def counted_cost(workspace: Workspace, levels: list[LevelGram]) -> CountedCost:
    """Count a run's work; the same for every run of a configuration.

    Args:
        workspace: The probe.
        levels: The finished levels.

    Returns:
        The entry ``cost`` of ``gradsim.json``.
    """
    settings = workspace.settings
    versions = len(workspace.encoded.versions)
    unpaired = workspace.unpaired_indices
    shapes = [level.losses.shape[:2] for level in levels]
    alone = len(unpaired) * sum(draws for _, draws in shapes)
    gradients = sum(clips * draws for clips, draws in shapes) * versions + alone
    size = workspace.work["batch_size"]
    stages = interim_stages(
        len(workspace.encoded.ids), settings.draws, settings.adaptive
    )
    passes, sizes = 0, PassSizes(workspace.store.folder, size)
    for level, shape in enumerate(shapes):
        reached = stages[: stages.index(shape) + 1]
        by_stage = micro_batches_by_stage(reached, unpaired, versions, size)
        for stage, batches in enumerate(by_stage):
            for index, draws in enumerate(batches):
                most = sizes.at(Place(level, stage, index))
                names = workspace.versions(draws[0].clip)
                passes += len(divide(draws, names, most))
    each = workspace.work["flops_per_clip_gradient"]
    return CountedCost(
        clip_gradients=gradients,
        passes=passes,
        batch_size=size,
        flops_per_clip_gradient=each,
        flops=each * gradients,
        kept=workspace.sketch.size if workspace.sketched else "exact",
        sketch_numbers=workspace.sketch.size,
        clips_per_level=[int(clips) for clips, _ in shapes],
        unpaired_clips=len(unpaired),
        draws_per_level=[int(draws) for _, draws in shapes],
        measured=COST_FILE,
    )


class CostMeter:
    """Predicts and measures the seconds and the memory of a run."""

    def __init__(
        self, workspace: Workspace, engine: GradientCapture, progress: bool
    ) -> None:
        """Predict, unless nothing is left to do.

        Args:
            workspace: The probe.
            engine: Its capture engine.
            progress: Print what is predicted and measured.
        """
        self.workspace, self.progress = workspace, progress
        self.seconds, self.gradients = 0.0, 0
        self.parts: dict[str, float] = {}
        self.before: dict[str, Any] = {}
        self._trial: tuple[Callable[[], object], float] = (lambda: None, 0.0)
        self._keep = True  # the gradients of a plain pass
        store = workspace.store
        left = [i for i in range(len(workspace.sigmas)) if not store.has_level(i)]
        if not left or not (workspace.processes.is_main or workspace.in_step):
            return
        versions = len(workspace.encoded.versions)
        paired = len(workspace.encoded.ids)
        draws = paired * versions + len(workspace.unpaired_indices)
        stored = [store.draws.count(level, paired) for level in left]
        done = sum(versions * these + others for these, others in stored)
        remaining = len(left) * draws * workspace.settings.draws - done
        self._measure(engine, versions, remaining)
        self.parts = predicted_parts(
            workspace, self.before["seconds"], len(left), *self._trial
        )
        self.before["parts"] = self.parts
        self._report(f"time: {described(self.parts)}")

    def _measure(self, engine: GradientCapture, versions: int, remaining: int) -> None:
        """Time plain and capturing passes in turn, and print the prediction."""
        workspace = self.workspace
        size = workspace.work["batch_size"]
        memory = PeakMemory(workspace.device)
        with memory:
            count, plain, capture = workspace.guard.run(
                lambda most: self._timed_passes(engine, most), size
            )
        each = min(capture) / count  # the first pass warms up
        flops = workspace.work["flops_per_clip_gradient"]
        seconds = each * remaining / workspace.processes.world
        self.before = {
            "clip_gradients": remaining,
            "processes": workspace.processes.world,
            "seconds": seconds,
            "seconds_per_clip_gradient": each,
            "plain_seconds_per_clip_gradient": min(plain) / count,
            "ratio_to_plain": min(capture) / min(plain),
            "peak_bytes_per_pass": memory.used,
        }
        ratio = self.before["ratio_to_plain"]
        kept = f"sketch of {workspace.sketch.size}" if workspace.sketched else "exact"
        self._report(
            f"cost: up to {remaining} clip gradients, {versions} versions per clip,"
            f" {count} per pass, {kept}; {flops * remaining / 1e12:.3g} TFLOP, about"
            f" {seconds:.0f} s of capture, {memory.used / 1e9:.2f} GB per pass;"
            f" {ratio:.2f} of a plain forward+backward"
        )

    def _timed_passes(
        self, engine: GradientCapture, size: int
    ) -> tuple[int, list[float], list[float]]:
        """Time plain and capturing passes of at most so many versions, in turn.

        Returns:
            Clip versions in a pass, seconds of plain passes, and of capturing ones.
        """
        workspace = self.workspace
        versions = workspace.encoded.versions
        clips, samples = len(workspace.encoded.ids), workspace.settings.draws
        draws = next(micro_batches(clips, (), samples, len(versions), size))
        rows = divide(draws, versions, size)[0]
        count = sum(len(names) for _, names in rows)
        losses = batch_losses(workspace, rows, float(workspace.sigmas[0]))
        plain, capture = [], []
        one_pass = partial(self._timed, partial(engine.per_clip, losses, count))
        for _ in range(wall_time.TRIALS):
            plain.append(self._timed(lambda: self._plain_pass(losses)))
            capture.append(one_pass())
        self._trial = one_pass, min(capture)  # on a GPU to its end
        return count, plain, capture

    def _plain_pass(self, losses: Callable[[], torch.Tensor]) -> None:
        """Run a plain pass, where its gradients fit: a capturing one forms none."""
        network = self.workspace.model.network
        if self._keep:
            try:
                return plain_pass(network, losses)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            self._keep = False
        return plain_pass(network, losses, keep=False)

    @contextmanager
    def timed_pass(self, clips: int) -> Iterator[None]:
        """Time one capturing pass.

        Args:
            clips: Clip versions in the pass.

        Yields:
            Nothing.
        """
        began = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - began
        self.gradients += clips

    @property
    def tail(self) -> float:
        """Predicted seconds after the last draw."""
        return sum(self.parts.get(k, 0.0) for k in ("reducing", "results", "figures"))

    def close(self) -> None:
        """Print what capture did cost and write ``cost.json``, if it did anything."""
        main = self.workspace.processes.is_main
        if not self.before or not self.gradients or not main:
            return
        each = self.seconds / self.gradients
        ratio = each / self.before["plain_seconds_per_clip_gradient"]
        after = {
            "clip_gradients": self.gradients,
            "seconds": self.seconds,
            "seconds_per_clip_gradient": each,
            "ratio_to_plain": ratio,
            "flops_per_second": self.workspace.work["flops_per_clip_gradient"] / each,
            "parts": dict(self.workspace.seconds),
        }
        value = {"predicted": self.before, "achieved": after}
        write_json(self.workspace.out / COST_FILE, value)
        self._report(
            f"cost: {self.gradients} clip gradients captured in {self.seconds:.0f} s,"
            f" {1000 * each:.3g} ms each: {ratio:.2f} of a plain forward+backward"
            " (timed before the run)"
        )

    def _report(self, text: str) -> None:
        log.info(text)
        if self.progress:
            print(text, file=sys.stderr, flush=True)

    def _timed(self, action: Callable[[], object]) -> float:
        """Return the seconds an action takes, on a GPU to its end."""
        began = time.perf_counter()
        action()
        device = torch.device(self.workspace.device)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - began
