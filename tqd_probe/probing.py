"""The probe: from clips and a checkpoint to Gram matrices per noise level."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from tqd_probe.clips.degradations import Degradation, check_frames, parse_degradations
from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.source import open_clips, refuse_copies
from tqd_probe.errors import GradientError, InputError
from tqd_probe.files import digest
from tqd_probe.gradients import reference
from tqd_probe.gradients.capture import GradientCapture
from tqd_probe.gradients.gram import LevelGram
from tqd_probe.gradients.layout import Layout, make_layout
from tqd_probe.gradients.store import GradientStore
from tqd_probe.models.base import Conditioned, VideoModel, per_clip_loss
from tqd_probe.models.encode import (
    ClipEncoder,
    EncodedClips,
    default_cache,
    encode_clips,
)
from tqd_probe.models.memory import set_checkpointing
from tqd_probe.opened import model_levels, open_model
from tqd_probe.rng import normal
from tqd_probe.rundir import claim, describe, run_directory
from tqd_probe.settings import RunSettings

DEFAULT_CLIPS = 24
LEAST_COVERED = 0.99
ONE_THREAD_BELOW = 10_000_000  # parameters
AGREEMENT = {"fp32": 1e-3, "bf16": 0.1}
log = logging.getLogger("tqd_probe")


@dataclass
class Probe:
    """A probe in progress: the model, the clips, and where gradients go.

    Attributes:
        settings: The run's settings.
        out: The run directory.
        model: The checkpoint.
        shape: Clip shape.
        degradations: Degradations in order.
        encoded: Encoded golden and degraded clips.
        sigmas: Noise levels ``[L]``.
        layout: The probed parameters.
        store: The gradient store.
        covered_share: Share of the squared gradient norm that is captured.
    """

    settings: RunSettings
    out: Path
    model: VideoModel
    shape: ClipShape
    degradations: tuple[Degradation, ...]
    encoded: EncodedClips
    sigmas: np.ndarray
    layout: Layout
    store: GradientStore
    covered_share: float = float("nan")

    def level(self, index: int) -> LevelGram:
        """Return the Gram matrices of a finished level.

        Args:
            index: Index of the level.

        Returns:
            The matrices per module group.
        """
        return self.store.level(index)


def prepare(settings: RunSettings, quiet: bool = False) -> Probe:
    """Open the checkpoint, encode the clips, claim the run directory.

    Args:
        settings: The run's settings.
        quiet: Show no progress bars.

    Returns:
        The probe, ready to run.

    Raises:
        InputError: If the checkpoint, the clips or an option is at fault.
    """
    degradations = parse_degradations(settings.degradations)
    model = open_model(settings)
    sigmas = model_levels(settings, model)
    shape = clip_shape(settings, model)
    model.check_shape(shape)
    check_frames(degradations, shape)
    limit = settings.num_clips
    if limit is None and settings.clips == "synthetic":
        limit = DEFAULT_CLIPS
    found = open_clips(settings.clips, limit, settings.seed)
    if len(found.golden) < 4:
        raise InputError(
            f"--clips {settings.clips}: {len(found.golden)} golden clips, at least 4"
            " are needed to tell signal from noise; add clips"
        )
    refuse_copies(settings.clips, found.golden)
    for name, others in found.others.items():
        log.warning("%d clips of class %s are not probed", len(others), name)
    cache = settings.cache or default_cache()
    encoder = ClipEncoder(model, shape, settings.seed, cache)
    total = len(found.golden) * (1 + len(degradations))
    with tqdm(total=total, desc="encode", unit="clip", disable=quiet) as bar:
        encoded = encode_clips(
            encoder,
            found.golden,
            degradations,
            max_bad=settings.max_bad,
            progress=bar.update,
        )
    model.release_encoders()
    if len(encoded.ids) < 4:
        raise InputError(
            f"--clips {settings.clips}: {len(encoded.ids)} usable clips, at least 4 are"
            " needed; add clips or mend those in quarantine"
        )
    layout = make_layout(model.network, model.modules(), settings.params)
    kept = set(encoded.ids)
    content = [[c.id, c.identity(), c.caption] for c in found.golden if c.id in kept]
    inputs = {
        "checkpoint": model.fingerprint,
        "encoders": model.encoder_fingerprint,
        "clips": digest(content),
        "parameters": layout.fingerprint,
    }
    set_checkpointing(
        model, settings.checkpointing, encoded.batch(0, encoded.conditions[:1]),
        min(settings.batch_size, len(encoded.conditions)),
    )  # fmt: skip
    shaping = [
        *(inputs, str(shape), encoded.conditions, sigmas.tolist()),
        *(settings.draws, settings.dtype, settings.seed, settings.sketch),
    ]
    out = run_directory(settings)
    store = claim(out, describe(settings, inputs), digest(shaping), settings.overwrite)
    return Probe(
        *(settings, out, model, shape, degradations),
        *(encoded, sigmas, layout, store),
    )


def clip_shape(settings: RunSettings, model: VideoModel) -> ClipShape:
    """Resolve the clip shape: what was asked for, else what is native.

    Args:
        settings: The run's settings.
        model: The checkpoint.

    Returns:
        The clip shape.
    """
    native = model.native
    return ClipShape(
        settings.frames or native.frames,
        settings.height or native.height,
        settings.width or native.width,
        settings.fps or native.fps,
    )


def draw_losses(
    probe: Probe, clip: int, draw: int, sigma: float, conditions: list[str]
) -> Callable[[], torch.Tensor]:
    """Set up the losses of several versions of one clip under one noise sample.

    Versions share caption and noise (common random numbers); a clip's noise is the
    same at every level, so that levels are compared on equal terms.

    Args:
        probe: The probe.
        clip: Index of the clip.
        draw: Index of the noise sample.
        sigma: Noise level.
        conditions: Which versions.

    Returns:
        A function that runs the network and returns the losses ``[conditions]``.
    """
    batch, eps, levels = draw_batch(probe, clip, draw, sigma, conditions)
    return lambda: per_clip_loss(probe.model, batch, eps, levels)


def draw_batch(
    probe: Probe, clip: int, draw: int, sigma: float, conditions: list[str]
) -> tuple[Conditioned, torch.Tensor, torch.Tensor]:
    """Build the batch of `draw_losses`.

    Args:
        probe: The probe.
        clip: Index of the clip.
        draw: Index of the noise sample.
        sigma: Noise level.
        conditions: Which versions.

    Returns:
        Encoded versions, noise and levels, with versions in front.
    """
    device = torch.device(probe.settings.device)
    batch = probe.encoded.batch(clip, conditions)
    name, seed = probe.encoded.ids[clip], probe.settings.seed
    eps = normal(tuple(batch.latents.shape[1:]), seed, "noise", name, draw)
    eps = eps.expand_as(batch.latents).to(device)
    moved = Conditioned(
        batch.latents.to(device),
        {key: value.to(device) for key, value in batch.conditioning.items()},
    )
    return moved, eps, torch.full((len(conditions),), sigma, device=device)


def run(probe: Probe, quiet: bool = False) -> None:
    """Capture all gradients that the store does not have yet, level by level.

    Args:
        probe: The probe.
        quiet: Show no progress bars.

    Raises:
        GradientError: If a gradient is not finite or not all of it is captured.
    """
    settings, store, encoded = probe.settings, probe.store, probe.encoded
    engine = GradientCapture(probe.model.network, probe.layout)

    def coverage() -> float:
        names = encoded.conditions[:2]
        first = draw_losses(probe, 0, 0, float(probe.sigmas[0]), names)
        _check_finite(probe, engine.per_clip(first, len(names))[0], 0, 0, names)
        return engine.covered_share(first, len(names))

    with _steady_torch(probe):
        probe.covered_share = store.covered_share(coverage)
    if probe.covered_share < LEAST_COVERED:
        raise GradientError(
            f"--ckpt {settings.ckpt}: only {probe.covered_share:.4f} of the squared"
            " gradient norm is captured; restrict --params to layers that are"
        )
    clips, levels = len(encoded.ids), len(probe.sigmas)
    total = levels * clips * settings.draws
    bar = tqdm(total=total, desc="probe", unit="draw", disable=quiet, smoothing=0.05)
    with bar, _steady_torch(probe):
        for level, sigma in enumerate(probe.sigmas):
            bar.set_description(f"level {level + 1}/{levels} sigma {sigma:.3g}")
            if store.has_level(level):
                bar.update(clips * settings.draws)
                continue
            for clip, draw in np.ndindex(clips, settings.draws):
                if not store.has_draw(level, clip, draw):
                    found = _capture(probe, engine, level, clip, draw)
                    store.put_draw(level, clip, draw, *found)
                bar.update()
            bar.set_postfix_str("Gram")
            store.finish_level(level, clips, settings.draws, probe.layout.groups)
            bar.set_postfix_str("")
            log.info("level %d of %d (sigma %.4g) done", level + 1, levels, sigma)


def _capture(
    probe: Probe, engine: GradientCapture, level: int, clip: int, draw: int
) -> tuple[np.ndarray, np.ndarray]:
    """Capture one draw: all versions of one clip under one noise sample."""
    conditions, size = probe.encoded.conditions, probe.settings.batch_size
    gradients, losses = [], []
    for start in range(0, len(conditions), size):
        some = conditions[start : start + size]
        sigma = float(probe.sigmas[level])
        part = engine.per_clip(draw_losses(probe, clip, draw, sigma, some), len(some))
        _check_finite(probe, part[0], level, clip, some)
        gradients.append(part[0].float().cpu().numpy())
        losses.append(part[1].float().cpu().numpy())
    return np.concatenate(gradients), np.concatenate(losses)


def _check_finite(
    probe: Probe, gradients: torch.Tensor, level: int, clip: int, names: list[str]
) -> None:
    """Refuse gradients that are not finite; names clip, level and module."""
    if bool(torch.isfinite(gradients.sum())):
        return
    bad = (~torch.isfinite(gradients)).nonzero()
    if not len(bad):
        return  # finite values whose sum overflowed
    row, column = (int(v) for v in bad[0])
    group, parameter = probe.layout.locate(column)
    raise GradientError(
        f"clip {probe.encoded.ids[clip]} ({names[row]}), sigma"
        f" {probe.sigmas[level]:.4g}, module {group} ({parameter}): gradient is not"
        " finite; use --dtype fp32, leave the clip out, or mend the checkpoint"
    )


@contextmanager
def _steady_torch(probe: Probe) -> Iterator[None]:
    """Keep torch deterministic while capturing: resumed runs equal whole ones.

    The layers of a small network are too short to share: on a CPU, waking a second
    thread for each of them costs more than it saves. One rule for all runs, since the
    number of threads decides how sums are rounded.
    """
    before = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    parameters = sum(p.numel() for p in probe.model.network.parameters())
    if probe.settings.device == "cpu" and parameters < ONE_THREAD_BELOW:
        torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    memory: Any = torch.utils.deterministic
    filled = memory.fill_uninitialized_memory
    memory.fill_uninitialized_memory = False  # none is read
    try:
        yield
    finally:
        memory.fill_uninitialized_memory = filled
        torch.use_deterministic_algorithms(before[0])
        torch.set_num_threads(before[1])


def self_check(probe: Probe) -> dict[str, Any]:
    """Compare the engine with `torch.func` in float64 on two draws of the probe.

    Args:
        probe: The probe.

    Returns:
        ``relative_error`` (largest over clips) and ``jvp_error``, the relative error
        of products by forward mode.

    Raises:
        GradientError: If they disagree by more than the number type explains.
    """
    model, layout = probe.model, probe.layout
    engine = GradientCapture(model.network, layout)
    sigma = float(probe.sigmas[len(probe.sigmas) // 2])
    errors, jvp_errors = [], []
    for clip in (0, 1):
        names = probe.encoded.conditions[:2]
        batch, eps, levels = draw_batch(probe, clip, 0, sigma, names)
        found, _ = engine.per_clip(
            draw_losses(probe, clip, 0, sigma, names), len(names)
        )

        def loss(network: torch.nn.Module, value: Any) -> torch.Tensor:
            latents, conditioning, noise, level = value
            bound = model.bound_to(network)
            return per_clip_loss(
                bound, Conditioned(latents, conditioning), noise, level
            )

        value = (
            batch.latents.double(),
            {key: part.double() for key, part in batch.conditioning.items()},
            eps.double(),
            levels.double(),
        )
        truth = reference.per_clip(model.network, layout, loss, value)
        gap = (found.double() - truth).norm(dim=1) / truth.norm(dim=1)
        errors.append(float(gap.max()))
        direction = truth.mean(0)
        products = reference.directional(model.network, layout, loss, value, direction)
        expected = truth @ direction
        jvp_errors.append(float(((products - expected) / expected.norm()).norm()))
    allowed = AGREEMENT[probe.settings.dtype]
    if max(errors) > allowed or max(jvp_errors) > 1e-6:
        raise GradientError(
            f"--self-check: engine and torch.func disagree by {max(errors):.2g}"
            f" (allowed {allowed:g}), forward mode by {max(jvp_errors):.2g}; no"
            " schedule is written; report the model, or restrict --params"
        )
    return {"relative_error": max(errors), "jvp_error": max(jvp_errors)}
