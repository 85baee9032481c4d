"""One draw of a probe: a clip's versions under one noise sample, and its state."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tqd_probe.clips.degradations import Degradation
from tqd_probe.clips.shape import ClipShape
from tqd_probe.core.determinism import deterministic
from tqd_probe.core.errors import GradientError
from tqd_probe.core.processes import Processes
from tqd_probe.core.rng import normal
from tqd_probe.gradients.capture import GradientCapture
from tqd_probe.gradients.gram import LevelGram
from tqd_probe.gradients.layout import Layout
from tqd_probe.gradients.sinks import Sink, Sketched, Whole
from tqd_probe.gradients.sketch import Sketch
from tqd_probe.gradients.store import GradientStore
from tqd_probe.models.base import Conditioned, VideoModel, per_clip_loss
from tqd_probe.models.clip_encoder import GOLDEN, EncodedClips
from tqd_probe.probing.settings import RunSettings


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
        sketch: The random map of sketches; whole gradients get sketches too.
        sketched: Whether sketches alone are kept of gradients.
        processes: The processes that share the run.
        covered_share: Share of the squared gradient norm that is captured.
        work: What one pass holds and costs, once it is known.
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
    sketch: Sketch
    sketched: bool
    processes: Processes = field(default_factory=Processes)
    covered_share: float = float("nan")
    work: dict[str, Any] = field(default_factory=dict)
    others: EncodedClips | None = None
    unpaired: dict[str, list[int]] = field(default_factory=dict)
    scale: torch.Tensor | None = None
    severities: dict[str, list[float]] | None = None

    @property
    def clip_ids(self) -> list[str]:
        """Names of all clips: golden ones, then unpaired ones."""
        return self.encoded.ids + (self.others.ids if self.others else [])

    @property
    def unpaired_places(self) -> range:
        """Places of the unpaired clips in `clip_ids`."""
        return range(len(self.encoded.ids), len(self.clip_ids))

    def versions(self, clip: int) -> list[str]:
        """Name the versions of a clip that are probed.

        Args:
            clip: Place in `clip_ids`.

        Returns:
            Golden and its degradations; the clip itself for an unpaired one.
        """
        paired = clip < len(self.encoded.ids)
        return self.encoded.conditions if paired else [GOLDEN]

    def engine(
        self, plain: bool = False, ring: int = 0, compiled: bool = False
    ) -> GradientCapture:
        """Make the capture engine of this probe.

        Args:
            plain: Leave gradients as they are, whatever the run's metric.
            ring: Buffers for whole gradients, used in turn (`sinks.Whole`).
            compiled: Compile the network's blocks.

        Returns:
            An engine that keeps whole gradients or sketches, as the run does.
        """
        scale = None if plain else self.scale
        sink: Sink = Whole(self.layout, scale, ring)
        if self.sketched:
            sink = Sketched(self.sketch, self.settings.exact_norms, scale=scale)
        return GradientCapture(self.model.network, self.layout, sink, compiled)

    def deterministic(self) -> AbstractContextManager[None]:
        """Make torch deterministic while capturing: resumed runs equal whole ones.

        Returns:
            A context manager.
        """
        parameters = sum(p.numel() for p in self.model.network.parameters())
        return deterministic(torch.device(self.settings.device), parameters)

    def level(self, index: int) -> LevelGram:
        """Return the Gram matrices of a finished level.

        Args:
            index: Index of the level.

        Returns:
            The matrices per module group.
        """
        return self.store.level(index)


def draw_losses(
    probe: Probe, clip: int, draw: int, sigma: float, conditions: list[str]
) -> Callable[[], torch.Tensor]:
    """Set up the losses of several versions of one clip under one noise sample.

    Versions share caption and noise (common random numbers); a clip's noise is the
    same at every level, so that levels are compared on equal terms.

    Args:
        probe: The probe.
        clip: Place of the clip in `clip_ids`.
        draw: Index of the noise sample.
        sigma: Noise level.
        conditions: Which versions.

    Returns:
        A function that runs the network and returns the losses ``[conditions]``.
    """
    batch, eps, levels = draw_batch(probe, clip, draw, sigma, conditions)
    return lambda: per_clip_loss(probe.model, batch, eps, levels)


def pack_losses(
    probe: Probe, pack: list[tuple[int, int]], sigma: float, conditions: list[str]
) -> Callable[[], torch.Tensor]:
    """Set up the losses of several draws that share a pass.

    Args:
        probe: The probe.
        pack: Clips' places in `clip_ids` and indices of noise samples.
        sigma: Noise level.
        conditions: Which versions of each.

    Returns:
        A function that runs the network and returns the losses
        ``[draws * conditions]``, the versions of a draw side by side.
    """
    parts = [draw_batch(probe, *draw, sigma, conditions) for draw in pack]
    batches, noise, sigmas = zip(*parts)
    eps, levels = torch.cat(noise), torch.cat(sigmas)
    batch = Conditioned(
        torch.cat([each.latents for each in batches]),
        {
            key: torch.cat([each.conditioning[key] for each in batches])
            for key in batches[0].conditioning
        },
    )
    return lambda: per_clip_loss(probe.model, batch, eps, levels)


def draw_batch(
    probe: Probe, clip: int, draw: int, sigma: float, conditions: list[str]
) -> tuple[Conditioned, torch.Tensor, torch.Tensor]:
    """Build the batch of `draw_losses`.

    Args:
        probe: The probe.
        clip: Place of the clip in `clip_ids`.
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


def check_finite(
    probe: Probe, gradients: torch.Tensor, level: int, clip: int, names: list[str]
) -> None:
    """Refuse gradients that are not finite; names clip, level and module.

    Args:
        probe: The probe.
        gradients: Gradients or sketches ``[versions, ...]``.
        level: Index of the noise level.
        clip: Index of the clip.
        names: The versions.

    Raises:
        GradientError: If a gradient is not finite.
    """
    if bool(torch.isfinite(gradients.sum())):
        return
    bad = (~torch.isfinite(gradients)).nonzero()
    if not len(bad):
        return  # finite values whose sum overflowed
    row, column = (int(v) for v in bad[0])
    if probe.sketched:
        spans = probe.sketch.groups.items()
        group = next(name for name, (a, b) in spans if a <= column < b)
        parameter = "sketch"
    else:
        group, parameter = probe.layout.locate(column)
    raise GradientError(
        f"clip {probe.clip_ids[clip]} ({names[row]}), sigma"
        f" {probe.sigmas[level]:.4g}, module {group} ({parameter}): gradient is not"
        " finite; use --dtype fp32, leave the clip out, or mend the checkpoint"
    )
