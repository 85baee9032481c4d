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
from tqd_probe.gradients.kept_gradients import Whole
from tqd_probe.gradients.metric import (
    POWERS,
    FactoredMetric,
    Metric,
    factored_metric,
    full_metric,
)
from tqd_probe.gradients.second_moments import (
    FactoredSquares,
    mean_of,
    sampled_pairs,
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
MOMENT_CLIPS = 8  # of whole gradients in a pass that estimates second moments
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
        workspace.metric = measured_metric(workspace)
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
        losses = batch_losses(workspace, [(Draw(0, 0), versions)], sigma)
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


def measured_metric(workspace: Workspace) -> Metric | None:
    """Return the metric of a run, its second moments estimated once if not given.

    Whole gradients have full second moments, sketched ones factored moments.

    Args:
        workspace: The probe.

    Returns:
        The metric; None for the plain inner product.
    """
    if workspace.settings.metric == "raw":
        return None
    layout, moments = workspace.layout, workspace.adam_state
    if moments is None:
        path = workspace.store.folder / "second_moments.safetensors"
        moments = workspace.measured_once(
            path,
            partial(_estimated_moments, workspace),
            partial(stored_moments, path, workspace.store.fingerprint),
        )
    make = factored_metric if workspace.sketched else full_metric
    power = POWERS[workspace.settings.metric]
    return make(layout, moments, power, computing_device(workspace.model.network))


def _estimated_moments(workspace: Workspace) -> torch.Tensor:
    """Return second moments of golden gradients, estimated from the first draw."""
    network, layout = workspace.model.network, workspace.layout
    kept = FactoredSquares(layout) if workspace.sketched else Whole(layout)
    engine = GradientCapture(network, layout, kept)

    def squares(most: int) -> Iterator[torch.Tensor]:
        pairs = sampled_pairs(len(workspace.encoded.ids), len(workspace.sigmas))
        for level, clips in pairs:
            for start in range(0, len(clips), most):
                some = clips[start : start + most]
                rows = [(Draw(clip, 0), [GOLDEN]) for clip in some]
                sigma = float(workspace.sigmas[level])
                losses = batch_losses(workspace, rows, sigma)
                found = engine.per_clip(losses, len(some))[0]
                for row, clip in zip(found, some):
                    _check_golden(workspace, row[None], level, clip)
                yield found if workspace.sketched else found.square()

    # Where whole gradients fit, several do; otherwise a pass is as large as must be.
    size = 1 if workspace.sketched else MOMENT_CLIPS
    return workspace.guard.run(lambda most: mean_of(squares(most)), size)


def _check_golden(
    workspace: Workspace, found: torch.Tensor, level: int, clip: int
) -> None:
    """Refuse a golden gradient, or squares of one, that are not finite."""
    if workspace.sketched and not bool(torch.isfinite(found).all()):
        raise GradientError(
            f"clip {workspace.clip_ids[clip]}, sigma {workspace.sigmas[level]:.4g}: the"
            " squared gradient is not finite; use --dtype fp32, leave the clip out, or"
            " repair the checkpoint"
        )
    if not workspace.sketched:
        check_finite(workspace, found, level, clip, [GOLDEN], sketched=False)


def allocate_sketch(workspace: Workspace) -> Sketch:
    """Give each parameter its share of the sketch, by its share of the gradient.

    The shares of the squared norm are those of the golden gradient of a few clips,
    measured once and stored.

    Args:
        workspace: The probe.

    Returns:
        The sketch of the run, in its metric.
    """
    path = workspace.store.folder / "energy.json"
    network, layout = workspace.model.network, workspace.layout
    places = (0, len(workspace.sigmas) // 2, -1)
    levels = sorted({float(workspace.sigmas[place]) for place in places})

    def passes() -> Iterator[tuple[Callable[[], torch.Tensor], int]]:
        for clip, sigma in product(range(ENERGY_CLIPS), levels):
            yield batch_losses(workspace, [(Draw(clip, 0), [GOLDEN])], sigma), 1

    def measure() -> dict[str, float]:
        return workspace.guard.run(
            lambda _: measure_energy(network, layout, passes(), workspace.metric), 1
        )

    energy = workspace.measured_once(
        path, measure, partial(stored_energy, path, layout)
    )
    metric = workspace.metric if isinstance(workspace.metric, FactoredMetric) else None
    return Sketch(layout, workspace.sketch.asked, energy, metric)


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
                if not last and _is_level_decided(workspace, level, stages[stage]):
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


def _is_level_decided(workspace: Workspace, level: int, stage: Stage) -> bool:
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
        )

    return bool(workspace.processes.broadcast_from_main(analyse))
