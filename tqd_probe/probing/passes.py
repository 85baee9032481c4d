"""The passes of a probe: every draw captured once, by whichever process owns it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from tqd_probe.core.errors import GradientError
from tqd_probe.gradients.capture import GradientCapture
from tqd_probe.gradients.gradient_energy import measure_energy, stored_energy
from tqd_probe.gradients.metric import metric_scale, stored_moments
from tqd_probe.gradients.sketch import Sketch
from tqd_probe.models.clip_encoder import GOLDEN
from tqd_probe.probing.adaptive import looks, settled
from tqd_probe.probing.cost import WORK, CostMeter, batch_size
from tqd_probe.probing.draws import (
    Probe,
    check_finite,
    draw_losses,
    pack_losses,
)
from tqd_probe.probing.micro_batches import Draw, staged

LEAST_COVERED = 0.99
PILOT_CLIPS = 2  # at the first, the middle and the last level
log = logging.getLogger("tqd_probe")


class Behind:
    """Does one task behind the next capture: a shard is hashed and written meanwhile.

    At most one task waits, so that no more than one shard more is in memory, and its
    error surfaces at the next task or at the end.
    """

    def __init__(self) -> None:
        """Start the thread."""
        self._pool = ThreadPoolExecutor(1)
        self._task: Future[Any] | None = None

    def put(self, task: Callable[..., None], *arguments: Any) -> None:
        """Start a task once the last one is done.

        Args:
            task: What to call.
            *arguments: What to call it with.
        """
        self.wait()
        self._task = self._pool.submit(task, *arguments)

    def wait(self) -> None:
        """Wait for the task that was started last."""
        task, self._task = self._task, None
        if task is not None:
            task.result()

    def __enter__(self) -> Behind:
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Wait for what was started, and end the thread."""
        try:
            self.wait()
        finally:
            self._pool.shutdown()


def run(probe: Probe, quiet: bool = False) -> None:
    """Capture all gradients that the store does not have yet, level by level.

    Args:
        probe: The probe.
        quiet: Show no progress bars and print nothing.

    Raises:
        GradientError: If a gradient is not finite or not all of it is captured.
    """
    settings, store, processes = probe.settings, probe.store, probe.processes
    quiet = quiet or not processes.is_main
    engine = probe.engine(plain=True)

    def coverage() -> float:
        names = probe.encoded.conditions[:2]
        first = draw_losses(probe, 0, 0, float(probe.sigmas[0]), names)
        check_finite(probe, engine.per_clip(first, len(names))[0], 0, 0, names)
        return engine.covered_share(first, len(names))

    with probe.deterministic():
        processes.broadcast_from_main(lambda: store.covered_share(coverage))
        probe.covered_share = store.covered_share(coverage)
    if probe.covered_share < LEAST_COVERED:
        raise GradientError(
            f"--ckpt {settings.ckpt}: only {probe.covered_share:.4f} of the squared"
            " gradient norm is captured; restrict --params to layers that are"
        )
    with probe.deterministic():
        if settings.metric == "adam":
            probe.scale = _metric(probe)
        probe.sketch = fitted_sketch(probe)
        compiled = settings.compile == "on"
        # Of two buffers one is captured into and one is written.
        engine = probe.engine(ring=2, compiled=compiled)
        work = processes.broadcast_from_main(
            lambda: store.record("work", WORK, lambda: batch_size(probe))
        )
        assert work is not None
        probe.work = work
        meter = CostMeter(probe, engine, quiet)
        _all_levels(probe, engine, meter, quiet)
    meter.close()


def _metric(probe: Probe) -> torch.Tensor:
    """Return the scale of Adam's metric, estimated in one process if not given."""
    if probe.scale is None:
        path = probe.store.folder / "second_moments.safetensors"
        engine = GradientCapture(probe.model.network, probe.layout)

        def moments() -> torch.Tensor:
            return stored_moments(
                *(path, probe.store.fingerprint),
                lambda clip, level: _golden_gradient(probe, engine, clip, level),
                *(len(probe.encoded.ids), len(probe.sigmas)),
            )

        probe.processes.broadcast_from_main(moments)
        probe.scale = metric_scale(moments())
    return probe.scale.to(next(probe.model.network.parameters()).device)


def fitted_sketch(probe: Probe) -> Sketch:
    """Divide the sketch's numbers by where the golden gradient is, found once.

    Args:
        probe: The probe.

    Returns:
        The sketch of the run; its store keeps what decides it.
    """
    path = probe.store.folder / "energy.json"
    places = (0, len(probe.sigmas) // 2, -1)
    levels = sorted({float(probe.sigmas[place]) for place in places})

    def passes() -> Iterator[tuple[Callable[[], torch.Tensor], int]]:
        for clip, sigma in product(range(PILOT_CLIPS), levels):
            yield draw_losses(probe, clip, 0, sigma, [GOLDEN]), 1

    def energy() -> dict[str, float]:
        return stored_energy(
            path,
            probe.layout,
            lambda: measure_energy(
                probe.model.network, probe.layout, passes(), probe.scale
            ),
        )

    probe.processes.broadcast_from_main(energy)
    return Sketch(probe.layout, probe.sketch.asked, energy())


def _golden_gradient(
    probe: Probe, engine: GradientCapture, clip: int, level: int
) -> torch.Tensor:
    """Capture the whole golden gradient of a clip's first draw."""
    losses = draw_losses(probe, clip, 0, float(probe.sigmas[level]), [GOLDEN])
    found = engine.per_clip(losses, 1)[0]
    if not bool(torch.isfinite(found).all()):
        check_finite(replace(probe, sketched=False), found, level, clip, [GOLDEN])
    return found[0].float().cpu()


def _all_levels(
    probe: Probe, engine: GradientCapture, meter: CostMeter, quiet: bool
) -> None:
    """Go through the levels; finished ones are skipped."""
    settings, store, processes = probe.settings, probe.store, probe.processes
    clips, levels = len(probe.encoded.ids), len(probe.sigmas)
    others, versions = probe.unpaired_places, len(probe.encoded.conditions)
    size = int(probe.work["batch_size"])
    stages = looks(clips, settings.draws, settings.adaptive)
    each = len(probe.clip_ids) * settings.draws
    total = levels * each
    bar = tqdm(total=total, desc="probe", unit="draw", disable=quiet, smoothing=0.05)
    with bar, Behind() as behind:
        for level, sigma in enumerate(probe.sigmas):
            bar.set_description(f"level {level + 1}/{levels} sigma {sigma:.3g}")
            if store.has_level(level):
                bar.update(each)
                continue
            begun = bar.n
            laid = staged(stages, others, versions, size)
            for stage, some in enumerate(laid):
                for index, pack in enumerate(some):
                    if processes.owns(index):
                        _pack(probe, engine, meter, behind, level, pack)
                    bar.update(len(pack))
                behind.wait()
                processes.barrier()
                if stage + 1 < len(stages) and _settled(probe, level, stage, stages):
                    break
            bar.set_postfix_str("reducing")
            reached, draws = stages[stage]
            if processes.is_main:
                store.finish_level(
                    level, reached, draws, probe.layout, probe.sketch, others
                )
            bar.set_postfix_str("")
            bar.update(begun + each - bar.n)
            text = "level %d of %d (sigma %.4g) done: %d clips x %d draws"
            log.info(text, level + 1, levels, sigma, reached + len(others), draws)
    processes.barrier()


def _settled(
    probe: Probe, level: int, stage: int, stages: list[tuple[int, int]]
) -> bool:
    """Let the main process look at a level; all hear what it saw."""
    store = probe.store

    def look() -> bool:
        gram = store.unfinished_level(
            *(level, *stages[stage], probe.layout, probe.sketch),
            probe.unpaired_places,
        )
        return settled(
            *(gram, probe.degradations, probe.unpaired, probe.settings, len(stages))
        )

    return bool(probe.processes.broadcast_from_main(look))


def _pack(
    probe: Probe,
    engine: GradientCapture,
    meter: CostMeter,
    behind: Behind,
    level: int,
    pack: list[Draw],
) -> None:
    """Capture the draws of a pack, unless all are stored."""
    if all(probe.store.has_draw(level, *draw) for draw in pack):
        return
    names, size = probe.versions(pack[0][0]), int(probe.work["batch_size"])
    sigma = float(probe.sigmas[level])
    gradients, losses, norms = [], [], []
    alone = len(names) <= size  # else the next pass would use the buffer again
    for start in range(0, len(names), size):
        some = names[start : start + size]
        count = len(some) * len(pack)
        with meter.passing(count):
            found = engine.capture(pack_losses(probe, pack, sigma, some), count)
            rows = found.gradients.float().cpu().numpy()
            gradients.append(rows if alone else rows.copy())
        for index, (clip, _) in enumerate(pack):
            own = found.gradients[index * len(some) : (index + 1) * len(some)]
            check_finite(probe, own, level, clip, some)
        losses.append(found.losses.float().cpu().numpy())
        if found.norms is not None:
            norms.append(found.norms.double().cpu().numpy())
    behind.put(
        *(_store, probe, level, pack),
        gradients[0] if alone else np.concatenate(gradients),
        np.concatenate(losses),
        np.concatenate(norms) if norms else None,
    )


def _store(
    probe: Probe,
    level: int,
    pack: list[Draw],
    gradients: np.ndarray,
    losses: np.ndarray,
    norms: np.ndarray | None,
) -> None:
    """Store the draws of a pack that are not there yet."""
    versions = len(losses) // len(pack)
    for index, draw in enumerate(pack):
        if not probe.store.has_draw(level, *draw):
            own = slice(index * versions, (index + 1) * versions)
            square = None if norms is None else norms[own]
            probe.store.put_draw(level, *draw, gradients[own], losses[own], square)
