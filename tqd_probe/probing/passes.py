"""The passes of a probe: every draw captured once, by whichever process owns it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import product

import torch

from tqd_probe.core.errors import GradientError, TqdError
from tqd_probe.core.files import write_json
from tqd_probe.gradients.capture import GradientCapture
from tqd_probe.gradients.gradient_energy import measure_energy, stored_energy
from tqd_probe.gradients.metric import (
    estimate_moments,
    metric_scale,
    stored_moments,
)
from tqd_probe.gradients.sketch import Sketch
from tqd_probe.models.clip_encoder import GOLDEN
from tqd_probe.models.placement import computing_device
from tqd_probe.probing.adaptive import interim_stages, is_decided
from tqd_probe.probing.background_writer import BackgroundWriter
from tqd_probe.probing.batch_size import WORK, choose_batch_size
from tqd_probe.probing.cost import CostMeter
from tqd_probe.probing.draw_capture import DrawCapture
from tqd_probe.probing.losses import batch_losses, check_finite
from tqd_probe.probing.micro_batches import Draw, Stage, micro_batches_by_stage
from tqd_probe.probing.pass_sizes import Place
from tqd_probe.probing.progress import DrawProgress
from tqd_probe.probing.workspace import Workspace
from tqd_probe.statistics.moments import joint_moments

LEAST_COVERED = 0.99
ENERGY_CLIPS = 2  # at the first, the middle and the last level
log = logging.getLogger("tqd_probe")


def capture_all(workspace: Workspace, progress: bool = True) -> None:
    """Capture all gradients that the store does not have yet, level by level.

    Args:
        workspace: The probe; its run directory is claimed.
        progress: Show progress bars and the cost.
    """
    progress = progress and workspace.processes.is_main
    began = time.perf_counter()
    with workspace.deterministic():
        _check_coverage(workspace)
        if workspace.settings.metric == "adam":
            workspace.scale = _estimated_scale(workspace)
        workspace.sketch = allocate_sketch(workspace)
        compiled = workspace.settings.compile == "on"
        engine = workspace.engine(compiled=compiled)
        workspace.work = _shared_work(workspace)
        workspace.seconds.setdefault("checks", 0.0)
        workspace.seconds["checks"] += time.perf_counter() - began
        meter = CostMeter(workspace, engine, progress)
        try:
            _capture_levels(workspace, engine, meter, progress)
        except BaseException:  # a signal too: what was captured is not lost
            with suppress(TqdError):
                workspace.store.draws.write(reduced=True)
            raise
    meter.close()


def _shared_work(workspace: Workspace) -> dict[str, int]:
    """Return the batch size and the work of a pass, decided once for all processes.

    Where one clip fits only with gradient checkpointing, all use that, resumed runs
    too: the batch size was chosen with it.
    """
    store, note = workspace.store, workspace.store.folder / "checkpointing.json"

    def stored(choose: Callable[[], dict[str, int]]) -> dict[str, int]:
        work = store.record("work", WORK, choose)
        if workspace.guard.checkpointing_added:
            write_json(note, {"checkpointing": "on"})
        return work

    path = store.folder / "work.json"
    work = workspace.measured_once(path, lambda: choose_batch_size(workspace), stored)
    if note.exists():
        workspace.guard.add_checkpointing()
    return work


def _check_coverage(workspace: Workspace) -> None:
    """Refuse a model of whose gradient less than 99 % is captured; measured once.

    Raises:
        GradientError: If a gradient is not finite or not all of it is captured.
    """
    engine = workspace.engine(plain=True)
    names = workspace.encoded.versions[:2]

    def covered_share(count: int) -> float:
        versions, sigma = names[:count], float(workspace.sigmas[0])
        losses = batch_losses(workspace, [Draw(0, 0)], sigma, versions)
        gradients = engine.per_clip(losses, count)[0]
        check_finite(workspace, gradients, 0, 0, versions, workspace.sketched)
        return engine.covered_share(losses, count)

    def coverage() -> float:
        return workspace.guard.run(covered_share, len(names))

    store = workspace.store
    path = store.folder / "coverage.json"
    workspace.covered_share = workspace.measured_once(
        path, coverage, store.covered_share
    )
    if workspace.covered_share < LEAST_COVERED:
        raise GradientError(
            f"--ckpt {workspace.settings.ckpt}: only {workspace.covered_share:.4f} of"
            " the squared gradient norm is captured; restrict --params to layers that"
            " are"
        )


def _estimated_scale(workspace: Workspace) -> torch.Tensor:
    """Return the scale of Adam's metric, estimated in one process if not given."""
    if workspace.scale is None:
        path = workspace.store.folder / "second_moments.safetensors"
        engine = GradientCapture(workspace.model.network, workspace.layout)

        def estimate() -> torch.Tensor:
            return estimate_moments(
                lambda clip, level: _golden_gradient(workspace, engine, clip, level),
                len(workspace.encoded.ids),
                len(workspace.sigmas),
            )

        moments = workspace.measured_once(
            path, estimate, partial(stored_moments, path, workspace.store.fingerprint)
        )
        workspace.scale = metric_scale(moments)
    return workspace.scale.to(computing_device(workspace.model.network))


def allocate_sketch(workspace: Workspace) -> Sketch:
    """Give each parameter its share of the sketch, by its share of the gradient.

    The shares of the squared norm are those of the golden gradient of a few clips,
    measured once and stored.

    Args:
        workspace: The probe.

    Returns:
        The sketch of the run.
    """
    path = workspace.store.folder / "energy.json"
    network, layout = workspace.model.network, workspace.layout
    places = (0, len(workspace.sigmas) // 2, -1)
    levels = sorted({float(workspace.sigmas[place]) for place in places})

    def passes() -> Iterator[tuple[Callable[[], torch.Tensor], int]]:
        for clip, sigma in product(range(ENERGY_CLIPS), levels):
            yield batch_losses(workspace, [Draw(clip, 0)], sigma, [GOLDEN]), 1

    def measure() -> dict[str, float]:
        return workspace.guard.run(
            lambda _: measure_energy(network, layout, passes(), workspace.scale), 1
        )

    energy = workspace.measured_once(
        path, measure, partial(stored_energy, path, layout)
    )
    return Sketch(layout, workspace.sketch.asked, energy)


def _golden_gradient(
    workspace: Workspace, engine: GradientCapture, clip: int, level: int
) -> torch.Tensor:
    """Capture the full golden gradient of a clip's first draw."""
    sigma = float(workspace.sigmas[level])
    losses = batch_losses(workspace, [Draw(clip, 0)], sigma, [GOLDEN])
    found = workspace.guard.run(lambda _: engine.per_clip(losses, 1)[0], 1)
    if not bool(torch.isfinite(found).all()):
        check_finite(workspace, found, level, clip, [GOLDEN], sketched=False)
    return found[0].float().cpu()


def _capture_levels(
    workspace: Workspace, engine: GradientCapture, meter: CostMeter, progress: bool
) -> None:
    """Go through the levels; finished ones are skipped."""
    began = time.perf_counter()
    settings, store = workspace.settings, workspace.store
    clips = len(workspace.encoded.ids)
    others, versions = workspace.unpaired_indices, len(workspace.encoded.versions)
    size = workspace.work["batch_size"]
    stages = interim_stages(clips, settings.draws, settings.adaptive)
    with (
        DrawProgress(workspace, meter, progress) as bar,
        BackgroundWriter() as writer,
        BackgroundWriter() as reducer,  # of a level while the next one is captured
        DrawCapture(workspace, engine, meter, writer) as capture,
    ):
        for level, sigma in enumerate(workspace.sigmas):
            if store.has_level(level):
                continue
            bar.begin(level, sigma)
            by_stage = micro_batches_by_stage(stages, others, versions, size)
            for stage, batches in enumerate(by_stage):
                for index, draws in enumerate(batches):
                    if 2 * store.draws.held_bytes > store.draws.limit:
                        reducer.wait()  # frees the level before
                    if workspace.in_step:
                        capture.capture_in_step(level, stage, index, batches)
                    elif workspace.processes.owns(index):
                        following = batches[index + workspace.processes.world :]
                        place = Place(level, stage, index)
                        capture.capture(place, draws, following)
                    bar.update(len(draws))
                capture.finish()
                writer.wait()
                _share_draws(workspace)
                last = stage + 1 == len(stages)
                if not last and _is_level_decided(
                    workspace, level, stages[stage], len(stages)
                ):
                    break
            if workspace.processes.is_main:
                reducer.submit(_finish_level, workspace, level, *stages[stage])
            bar.end_level()
        captured = time.perf_counter()
    if workspace.processes.is_main:
        _finish_run(workspace)
    workspace.seconds["capture"] = captured - began
    workspace.seconds["reducing"] = time.perf_counter() - captured
    workspace.processes.barrier()


def _share_draws(workspace: Workspace) -> None:
    """Let the main process read the draws of the others."""
    if not workspace.processes.is_main:
        workspace.store.draws.write(release=True)
    workspace.processes.barrier()


def _finish_level(workspace: Workspace, level: int, clips: int, samples: int) -> None:
    """Reduce a level of which all draws are there."""
    draws = workspace.level_draws(level, clips, samples)
    workspace.store.finish_level(draws, workspace.reduction)
    log.info(
        "level %d of %d (sigma %.4g) done: %d clips x %d draws",
        level + 1,
        len(workspace.sigmas),
        workspace.sigmas[level],
        len(draws.clips),
        samples,
    )


def _finish_run(workspace: Workspace) -> None:
    """Compute products between levels, once all are finished."""
    store, levels = workspace.store, range(len(workspace.sigmas))
    if not store.has_moments():
        moments = joint_moments(
            [store.level(level).all_groups() for level in levels],
            [store.vectors(level, workspace.reduction) for level in levels],
            workspace.classes,
            workspace.unpaired_rows,
        )
        store.put_moments(moments.tensors())
    store.condense(len(levels))


def _is_level_decided(
    workspace: Workspace, level: int, stage: Stage, analyses: int
) -> bool:
    """Return whether every comparison of a level is decided (interim analysis)."""

    def analyse() -> bool:
        gram = workspace.store.unfinished_level(
            workspace.level_draws(level, *stage), workspace.reduction
        )
        return is_decided(
            gram,
            workspace.degradations,
            workspace.unpaired_rows,
            workspace.settings,
            analyses,
        )

    return bool(workspace.processes.broadcast_from_main(analyse))
