"""The probe: from clips and a checkpoint to Gram matrices per noise level."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from tqd_probe.clips.degradations import Degradation, check_frames
from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.source import open_clips, refuse_copies
from tqd_probe.errors import GradientError, InputError
from tqd_probe.files import digest
from tqd_probe.gradients.capture import GradientCapture
from tqd_probe.gradients.gram import LevelGram
from tqd_probe.gradients.layout import Layout, make_layout
from tqd_probe.gradients.metric import (
    kept_moments,
    metric_scale,
    second_moments,
)
from tqd_probe.gradients.store import GradientStore
from tqd_probe.models.base import Conditioned, VideoModel, per_clip_loss
from tqd_probe.models.encode import (
    GOLDEN,
    ClipEncoder,
    EncodedClips,
    default_cache,
    encode_clips,
)
from tqd_probe.models.load import load_model
from tqd_probe.models.native import clip_shape
from tqd_probe.rng import normal
from tqd_probe.rundir import claim, describe, run_directory
from tqd_probe.settings import RunSettings
from tqd_probe.severity import match_severities
from tqd_probe.unpaired import LEAST_UNPAIRED, encode_unpaired, unpaired_clips

DEFAULT_CLIPS = 24
LEAST_COVERED = 0.99
ONE_THREAD_BELOW = 10_000_000  # parameters
GRAM_VERSION = 2  # raise when what is kept of a level changes
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
        others: Encoded clips of imbalanced classes, probed unpaired.
        unpaired: Places in `others` by class.
        scale: What gradients are multiplied by, element by element ``[size]``: the
            metric; None for the plain one.
        severities: Latent distances by which severities were matched, if they were.
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
    others: EncodedClips | None = None
    unpaired: dict[str, list[int]] = field(default_factory=dict)
    scale: torch.Tensor | None = None
    severities: dict[str, list[float]] | None = None

    @property
    def clip_ids(self) -> list[str]:
        """Names of all clips: golden ones, then unpaired ones."""
        return self.encoded.ids + (self.others.ids if self.others else [])

    def versions(self, clip: int) -> list[str]:
        """Name the versions of a clip that are probed.

        Args:
            clip: Place in `clip_ids`.

        Returns:
            Golden and its degradations; the clip itself for an unpaired one.
        """
        paired = clip < len(self.encoded.ids)
        return self.encoded.conditions if paired else [GOLDEN]

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
    degradations = settings.parsed_degradations()
    model = load_model(settings.ckpt, settings.device, settings.dtype)
    shape = clip_shape(settings, model)
    model.check_shape(shape)
    check_frames(degradations, shape)
    limit = settings.num_clips
    if limit is None and settings.clips == "synthetic":
        limit = DEFAULT_CLIPS
    found = open_clips(settings.clips, limit, settings.seed, settings.least_quality())
    if len(found.golden) < 4:
        raise InputError(
            f"--clips {settings.clips}: {len(found.golden)} golden clips, at least 4"
            " are needed to tell signal from noise; add clips"
        )
    refuse_copies(settings.clips, found.golden)
    extra = unpaired_clips(found.others, limit)
    if not degradations and not extra:
        raise InputError(
            f"--clips {settings.clips}: no class of imbalanced clips with at least"
            f" {LEAST_UNPAIRED} clips, and --degradations none: nothing to compare;"
            " give one of the two"
        )
    refuse_copies(settings.clips, [c for some in extra.values() for c in some])
    cache = settings.cache or default_cache()
    encoder = ClipEncoder(model, shape, settings.seed, cache)
    distances = None
    if settings.match_severity is not None:
        degradations, distances = match_severities(
            encoder, found.golden, degradations, settings.match_severity, quiet
        )
    extras = sum(map(len, extra.values()))
    total = len(found.golden) * (1 + len(degradations)) + extras
    with tqdm(total=total, desc="encode", unit="clip", disable=quiet) as bar:
        encoded = encode_clips(
            encoder,
            found.golden,
            degradations,
            max_bad=settings.max_bad,
            progress=bar.update,
        )
        others, unpaired = encode_unpaired(
            encoder, extra, settings.max_bad - len(encoded.quarantine), bar.update
        )
    if others is not None:
        encoded.quarantine.update(others.quarantine)
    model.release_encoders()
    if len(encoded.ids) < 4:
        raise InputError(
            f"--clips {settings.clips}: {len(encoded.ids)} usable clips, at least 4 are"
            " needed; add clips or mend those in quarantine"
        )
    layout = make_layout(model.network, model.modules(), settings.params)
    kept = set(encoded.ids)
    content = [[c.id, c.identity(), c.caption] for c in found.golden if c.id in kept]
    every = [c for some in extra.values() for c in some]
    content += [["unpaired", c.id, c.identity(), c.caption] for c in every]
    inputs = {
        "checkpoint": model.fingerprint,
        "encoders": model.encoder_fingerprint,
        "clips": digest(content),
        "parameters": layout.fingerprint,
    }
    sigmas = settings.sigmas()
    shaping = [
        *(inputs, str(shape), encoded.conditions, sigmas.tolist()),
        *(settings.draws, settings.dtype, settings.seed, settings.sketch),
        *(GRAM_VERSION, settings.metric),
    ]
    scale = None
    if settings.metric == "adam":
        moments, note = second_moments(settings.adam_state, layout)
        inputs["second_moments"] = note
        shaping.append(note)
        scale = None if moments is None else metric_scale(moments)
    out = run_directory(settings)
    store = claim(out, describe(settings, inputs), digest(shaping), settings.overwrite)
    return Probe(
        *(settings, out, model, shape, degradations),
        *(encoded, sigmas, layout, store),
        others=others,
        unpaired=unpaired,
        scale=scale,
        severities=distances,
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
    paired = len(probe.encoded.ids)
    if clip < paired or probe.others is None:
        batch = probe.encoded.batch(clip, conditions)
    else:
        batch = probe.others.batch(clip - paired, conditions)
    name, seed = probe.clip_ids[clip], probe.settings.seed
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
    if settings.metric == "adam" and probe.scale is None:
        with _steady_torch(probe):
            moments = kept_moments(
                store.folder / "second_moments.safetensors",
                store.fingerprint,
                lambda clip, level: _golden_gradient(probe, engine, clip, level),
                len(encoded.ids),
                len(probe.sigmas),
            )
            probe.scale = metric_scale(moments)
    clips, levels = len(probe.clip_ids), len(probe.sigmas)
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
            paired = len(encoded.ids)
            store.finish_level(
                level, paired, settings.draws, probe.layout.groups, clips - paired
            )
            bar.set_postfix_str("")
            log.info("level %d of %d (sigma %.4g) done", level + 1, levels, sigma)


def _golden_gradient(
    probe: Probe, engine: GradientCapture, clip: int, level: int
) -> torch.Tensor:
    """Capture the golden gradient of a clip's first draw."""
    losses = draw_losses(probe, clip, 0, float(probe.sigmas[level]), [GOLDEN])
    found = engine.per_clip(losses, 1)[0]
    _check_finite(probe, found, level, clip, [GOLDEN])
    return found[0].cpu()


def _capture(
    probe: Probe, engine: GradientCapture, level: int, clip: int, draw: int
) -> tuple[np.ndarray, np.ndarray]:
    """Capture one draw: all versions of one clip under one noise sample."""
    conditions, size = probe.versions(clip), probe.settings.batch_size
    gradients, losses = [], []
    for start in range(0, len(conditions), size):
        some = conditions[start : start + size]
        sigma = float(probe.sigmas[level])
        part = engine.per_clip(draw_losses(probe, clip, draw, sigma, some), len(some))
        _check_finite(probe, part[0], level, clip, some)
        values = part[0].float().cpu()
        gradients.append(
            (values if probe.scale is None else values * probe.scale).numpy()
        )
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
        f"clip {probe.clip_ids[clip]} ({names[row]}), sigma"
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
