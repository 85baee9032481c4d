"""The cost meter: what a run will cost, said before it; what it did cost, after it.

Passes, floating-point operations and bytes are counted and the same every time: they
are part of ``gradsim.json``. Seconds and memory are measured and never twice the same:
they go to ``cost.json``, so that a resumed run still ends with the same bytes in
``gradsim.json`` and ``bands.json``.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from tqd_probe.core.errors import InputError
from tqd_probe.core.files import write_json
from tqd_probe.core.memory import PeakMemory
from tqd_probe.gradients.capture import GradientCapture
from tqd_probe.gradients.gram import LevelGram
from tqd_probe.probing.adaptive import looks
from tqd_probe.probing.draws import Probe, draw_losses, pack_losses
from tqd_probe.probing.micro_batches import packs, staged

log = logging.getLogger("tqd_probe")
SPARE = 0.8  # of the free memory may be planned for
TRIALS = 3
MOST_DRAWS = 8  # in a pass
FULL_CPU = 15 * 10**9  # operations of a pass above which a longer one gains nothing
FULL_GPU = 2 * 10**12  # not measured: milliseconds of work, so that launches hide
WORK = ("batch_size", "flops_per_clip_gradient")


def batch_size(probe: Probe) -> dict[str, int]:
    """Decide how many clip versions share a pass, and count the work of one.

    Unless the user says, all versions of a clip share one pass; where a trial pass of
    one version says that they do not fit into the free memory, as many as do. Where
    that is little work for the device, several draws share a pass (`packs.py`).

    Args:
        probe: The probe.

    Returns:
        ``batch_size`` and ``flops_per_clip_gradient`` (of a plain forward and
        backward; matrix products, convolutions and attention).

    Raises:
        InputError: If not even one version fits.
    """
    try:
        return _batch_size(probe)
    except torch.OutOfMemoryError:
        raise InputError(
            f"--device {probe.settings.device}: out of memory with one clip; use"
            " --checkpointing on, --dtype bf16, --params, or smaller clips (--frames)"
        ) from None


def _batch_size(probe: Probe) -> dict[str, int]:
    versions = len(probe.encoded.conditions)
    asked = probe.settings.batch_size
    losses = draw_losses(probe, 0, 0, float(probe.sigmas[0]), ["golden"])
    with FlopCounterMode(display=False) as counter:
        plain_pass(probe, losses)
    size = asked or versions
    if asked is None:
        each = versions * max(1, int(counter.get_total_flops()))
        size = versions * min(max(1, _full(probe) // each), MOST_DRAWS)
        trial = PeakMemory(probe.processes.device(probe.settings.device))
        with trial:
            probe.engine().per_clip(losses, 1)
        if trial.used > trial.free > 0:
            raise torch.OutOfMemoryError
        room = int(SPARE * trial.free / trial.used) if trial.used > 0 else size
        if room < size:
            size = max(1, room if room < versions else room // versions * versions)
    return {
        "batch_size": size,
        "flops_per_clip_gradient": int(counter.get_total_flops()),
    }


def _full(probe: Probe) -> int:
    """Return how many operations of a plain pass fill the device."""
    kind = torch.device(probe.settings.device).type
    return FULL_CPU if kind == "cpu" else FULL_GPU


def plain_pass(probe: Probe, losses: Any) -> None:
    """Run an ordinary batched forward and backward pass, as training does.

    Args:
        probe: The probe.
        losses: Runs the network and returns the clips' losses.
    """
    parameters = list(probe.model.network.parameters())
    needed = [parameter.requires_grad for parameter in parameters]
    for parameter in parameters:
        parameter.requires_grad_(True)
    try:
        with torch.enable_grad():
            losses().sum().backward()
    finally:
        for parameter, flag in zip(parameters, needed):
            parameter.grad = None
            parameter.requires_grad_(flag)


def predicted(probe: Probe, levels: list[LevelGram]) -> dict[str, Any]:
    """Count a run's work; the same for every run of a configuration.

    Args:
        probe: The probe.
        levels: The finished levels.

    Returns:
        The entry ``cost`` of ``gradsim.json``.
    """
    versions = len(probe.encoded.conditions)
    shapes = [level.losses.shape[:2] for level in levels]
    alone = len(probe.unpaired_places) * sum(draws for _, draws in shapes)
    gradients = sum(clips * draws for clips, draws in shapes) * versions + alone
    per_pass = int(probe.work["batch_size"])
    settings = probe.settings
    stages = looks(len(probe.encoded.ids), settings.draws, settings.adaptive)
    passes = 0
    for shape in shapes:
        reached = stages[: stages.index(shape) + 1]
        for laid in staged(reached, probe.unpaired_places, versions, per_pass):
            for pack in laid:
                passes += -(-len(probe.versions(pack[0][0])) // per_pass)
    each = probe.work["flops_per_clip_gradient"]
    return {
        "clip_gradients": gradients,
        "passes": passes,
        "batch_size": per_pass,
        "flops_per_clip_gradient": each,
        "flops": each * gradients,
        "kept": probe.sketch.size if probe.sketched else "exact",
        "sketch_numbers": probe.sketch.size,
        "clips_per_level": [int(clips) for clips, _ in shapes],
        "unpaired_clips": len(probe.unpaired_places),
        "draws_per_level": [int(draws) for _, draws in shapes],
        "measured": "cost.json",
    }


class CostMeter:
    """Predicts and measures the seconds and the memory of a run."""

    def __init__(self, probe: Probe, engine: GradientCapture, quiet: bool) -> None:
        """Predict, unless nothing is left to do.

        Args:
            probe: The probe.
            engine: Its capture engine.
            quiet: Print nothing.
        """
        self.probe, self.quiet = probe, quiet
        self.seconds, self.gradients = 0.0, 0
        self.before: dict[str, Any] = {}
        processes, store = probe.processes, probe.store
        left = [i for i in range(len(probe.sigmas)) if not store.has_level(i)]
        if not left or not processes.is_main:
            return
        versions = len(probe.encoded.conditions)
        paired = len(probe.encoded.ids)
        draws = paired * versions + len(probe.unpaired_places)
        stored = [store.count_draws(level, paired) for level in left]
        done = sum(versions * these + others for these, others in stored)
        remaining = len(left) * draws * probe.settings.draws - done
        self._measure(engine, versions, remaining)

    def _measure(self, engine: GradientCapture, versions: int, remaining: int) -> None:
        """Time plain and capturing passes in turn, and say what is to come."""
        probe = self.probe
        size = int(probe.work["batch_size"])
        names = probe.encoded.conditions[:size]
        draws = probe.settings.draws
        pack = next(packs(len(probe.encoded.ids), (), draws, versions, size))
        count = len(pack) * len(names)
        losses = pack_losses(probe, pack, float(probe.sigmas[0]), names)
        memory = PeakMemory(probe.processes.device(probe.settings.device))
        plain, capture = [], []
        with memory:
            for _ in range(TRIALS):
                plain.append(_timed(probe, lambda: plain_pass(probe, losses)))
                capture.append(_timed(probe, lambda: engine.per_clip(losses, count)))
        each = median(capture) / count
        flops = probe.work["flops_per_clip_gradient"]
        seconds = each * remaining / probe.processes.world
        self.before = {
            "clip_gradients": remaining,
            "processes": probe.processes.world,
            "seconds": seconds,
            "seconds_per_clip_gradient": each,
            "plain_seconds_per_clip_gradient": median(plain) / count,
            "ratio_to_plain": median(b / a for a, b in zip(plain, capture)),
            "peak_bytes_per_pass": memory.used,
        }
        ratio = self.before["ratio_to_plain"]
        kept = f"sketch of {probe.sketch.size}" if probe.sketched else "exact"
        self._say(
            f"cost: up to {remaining} clip gradients, {versions} versions per clip,"
            f" {count} per pass, {kept}; {flops * remaining / 1e12:.3g} TFLOP, about"
            f" {seconds:.0f} s of capture, {memory.used / 1e9:.2f} GB per pass;"
            f" {ratio:.2f} of a plain forward+backward"
        )

    @contextmanager
    def passing(self, clips: int) -> Iterator[None]:
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

    def close(self) -> None:
        """Say what the run did cost and write ``cost.json``, if it did anything."""
        if not self.before or not self.gradients:
            return
        each = self.seconds / self.gradients
        ratio = each / self.before["plain_seconds_per_clip_gradient"]
        after = {
            "clip_gradients": self.gradients,
            "seconds": self.seconds,
            "seconds_per_clip_gradient": each,
            "ratio_to_plain": ratio,
            "flops_per_second": self.probe.work["flops_per_clip_gradient"] / each,
        }
        value = {"predicted": self.before, "achieved": after}
        write_json(self.probe.out / "cost.json", value)
        self._say(
            f"cost: {self.gradients} clip gradients captured in {self.seconds:.0f} s,"
            f" {1000 * each:.3g} ms each: {ratio:.2f} of a plain forward+backward"
            " (timed before the run)"
        )

    def _say(self, text: str) -> None:
        log.info(text)
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)


def _timed(probe: Probe, action: Any) -> float:
    """Return the seconds an action takes, on a GPU to its end."""
    cuda = torch.device(probe.processes.device(probe.settings.device)).type == "cuda"
    began = time.perf_counter()
    action()
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - began
