"""The passes of a probe: every draw captured once, by whichever process owns it."""

from __future__ import annotations

import logging

import numpy as np
from tqdm import tqdm

from tqd_probe.adaptive import looks, settled
from tqd_probe.cost import WORK, CostMeter, batch_size
from tqd_probe.draws import Probe, check_finite, draw_losses, steady_torch
from tqd_probe.errors import GradientError
from tqd_probe.gradients.capture import GradientCapture

LEAST_COVERED = 0.99
log = logging.getLogger("tqd_probe")


def run(probe: Probe, quiet: bool = False) -> None:
    """Capture all gradients that the store does not have yet, level by level.

    Args:
        probe: The probe.
        quiet: Show no progress bars and print nothing.

    Raises:
        GradientError: If a gradient is not finite or not all of it is captured.
    """
    settings, store, who = probe.settings, probe.store, probe.processes
    quiet = quiet or not who.main
    engine = probe.engine()

    def coverage() -> float:
        names = probe.encoded.conditions[:2]
        first = draw_losses(probe, 0, 0, float(probe.sigmas[0]), names)
        check_finite(probe, engine.per_clip(first, len(names))[0], 0, 0, names)
        return engine.covered_share(first, len(names))

    with steady_torch(probe):
        who.main_says(lambda: store.covered_share(coverage))
        probe.covered_share = store.covered_share(coverage)
    if probe.covered_share < LEAST_COVERED:
        raise GradientError(
            f"--ckpt {settings.ckpt}: only {probe.covered_share:.4f} of the squared"
            " gradient norm is captured; restrict --params to layers that are"
        )
    with steady_torch(probe):
        work = who.main_says(
            lambda: store.note("work", WORK, lambda: batch_size(probe))
        )
        assert work is not None
        probe.work = work
        meter = CostMeter(probe, engine, quiet)
        _all_levels(probe, engine, meter, quiet)
    meter.close()


def _all_levels(
    probe: Probe, engine: GradientCapture, meter: CostMeter, quiet: bool
) -> None:
    """Go through the levels; finished ones are skipped."""
    settings, store, who = probe.settings, probe.store, probe.processes
    clips, levels = len(probe.encoded.ids), len(probe.sigmas)
    stages = looks(clips, settings.draws, settings.adaptive)
    total = levels * clips * settings.draws
    bar = tqdm(total=total, desc="probe", unit="draw", disable=quiet, smoothing=0.05)
    with bar:
        for level, sigma in enumerate(probe.sigmas):
            bar.set_description(f"level {level + 1}/{levels} sigma {sigma:.3g}")
            done = 0
            if store.has_level(level):
                bar.update(clips * settings.draws)
                continue
            for stage, (some, draws) in enumerate(stages):
                for clip, draw in np.ndindex(some, draws):
                    if who.owns(clip * settings.draws + draw):
                        _draw(probe, engine, meter, level, clip, draw)
                    seen = stages[stage - 1] if stage else (0, 0)
                    if clip >= seen[0] or draw >= seen[1]:
                        bar.update()
                        done += 1
                who.barrier()
                if stage + 1 < len(stages) and _settled(probe, level, stage, stages):
                    break
            bar.set_postfix_str("reducing")
            if who.main:
                store.finish_level(level, some, draws, probe.layout, probe.sketch)
            bar.set_postfix_str("")
            bar.update(clips * settings.draws - done)
            text = "level %d of %d (sigma %.4g) done: %d clips x %d draws"
            log.info(text, level + 1, levels, sigma, some, draws)
    who.barrier()


def _settled(
    probe: Probe, level: int, stage: int, stages: list[tuple[int, int]]
) -> bool:
    """Let the main process look at a level; all hear what it saw."""
    store = probe.store

    def look() -> bool:
        gram = store.peek(level, *stages[stage], probe.layout, probe.sketch)
        return settled(gram, probe.degradations, probe.settings, len(stages))

    return bool(probe.processes.main_says(look))


def _draw(
    probe: Probe,
    engine: GradientCapture,
    meter: CostMeter,
    level: int,
    clip: int,
    draw: int,
) -> None:
    """Capture one draw, unless it is stored: all versions under one noise sample."""
    if probe.store.has_draw(level, clip, draw):
        return
    conditions, size = probe.encoded.conditions, int(probe.work["batch_size"])
    gradients, losses, norms = [], [], []
    sigma = float(probe.sigmas[level])
    for start in range(0, len(conditions), size):
        some = conditions[start : start + size]
        with meter.passing(len(some)):
            found = engine.capture(
                draw_losses(probe, clip, draw, sigma, some), len(some)
            )
            gradients.append(found.gradients.float().cpu().numpy())
        check_finite(probe, found.gradients, level, clip, some)
        losses.append(found.losses.float().cpu().numpy())
        if found.norms is not None:
            norms.append(found.norms.double().cpu().numpy())
    probe.store.put_draw(
        *(level, clip, draw),
        np.concatenate(gradients),
        np.concatenate(losses),
        np.concatenate(norms) if norms else None,
    )
