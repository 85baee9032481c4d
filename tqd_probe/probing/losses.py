"""Training losses of clip versions under a noise sample, ready to be captured."""

from __future__ import annotations

from collections.abc import Callable

import torch

from tqd_probe.core.errors import GradientError
from tqd_probe.core.rng import normal
from tqd_probe.models.base import Conditioned, per_clip_loss
from tqd_probe.probing.micro_batches import Draw, Rows
from tqd_probe.probing.workspace import Workspace


def batch_losses(
    workspace: Workspace, rows: Rows, sigma: float
) -> Callable[[], torch.Tensor]:
    """Prepare one forward pass over versions of clips under noise samples.

    Versions of a draw share caption and noise (common random numbers). The noise of a
    draw is the same at every level, so that levels are compared on equal terms.

    Args:
        workspace: The probe.
        rows: Clips and noise samples of the batch, and which versions of each.
        sigma: Noise level.

    Returns:
        A function that runs the network and returns the losses ``[B]`` of all versions,
        those of a draw side by side.
    """
    parts = [_draw_on_host(workspace, draw, versions) for draw, versions in rows]
    batches, noise = zip(*parts)
    batch = Conditioned(
        torch.cat([each.latents for each in batches]),
        {
            key: torch.cat([each.conditioning[key] for each in batches])
            for key in batches[0].conditioning
        },
    )
    batch, eps, sigmas = _on_device(workspace, batch, torch.cat(noise), sigma)

    def forward() -> torch.Tensor:
        return per_clip_loss(workspace.model, batch, eps, sigmas)

    return forward


def draw_batch(
    workspace: Workspace, draw: Draw, sigma: float, versions: list[str]
) -> tuple[Conditioned, torch.Tensor, torch.Tensor]:
    """Build the inputs of one draw on the probe's device.

    Args:
        workspace: The probe.
        draw: Clip and noise sample.
        sigma: Noise level.
        versions: Which versions of the clip.

    Returns:
        Encoded versions, their common noise and their levels, with versions in front.
    """
    return _on_device(workspace, *_draw_on_host(workspace, draw, versions), sigma)


def _draw_on_host(
    workspace: Workspace, draw: Draw, versions: list[str]
) -> tuple[Conditioned, torch.Tensor]:
    """Return encoded versions of a draw and their common noise, on the CPU."""
    paired = len(workspace.encoded.ids)
    if draw.clip < paired or workspace.encoded_unpaired is None:
        batch = workspace.encoded.batch(draw.clip, versions)
    else:
        batch = workspace.encoded_unpaired.batch(draw.clip - paired, versions)
    name, seed = workspace.clip_ids[draw.clip], workspace.settings.seed
    eps = normal(tuple(batch.latents.shape[1:]), seed, "noise", name, draw.sample)
    return batch, eps.expand_as(batch.latents)


def _on_device(
    workspace: Workspace, batch: Conditioned, eps: torch.Tensor, sigma: float
) -> tuple[Conditioned, torch.Tensor, torch.Tensor]:
    """Move a batch to this process's device; copies to a GPU wait for nothing."""
    device = torch.device(workspace.device)

    def moved(value: torch.Tensor) -> torch.Tensor:
        if device.type != "cuda":
            return value.to(device)
        return value.contiguous().pin_memory().to(device, non_blocking=True)

    return (
        Conditioned(
            moved(batch.latents),
            {key: moved(value) for key, value in batch.conditioning.items()},
        ),
        moved(eps),
        torch.full((len(batch.latents),), sigma, device=device),
    )


def check_finite(
    workspace: Workspace,
    gradients: torch.Tensor,
    level: int,
    clip: int,
    versions: list[str],
    sketched: bool,
) -> None:
    """Refuse gradients that are not finite; names clip, level and module.

    Args:
        workspace: The probe.
        gradients: Gradients or sketches ``[versions, ...]``.
        level: Index of the noise level.
        clip: Index of the clip in `Workspace.clip_ids`.
        versions: The versions.
        sketched: Whether these are sketches.

    Raises:
        GradientError: If a gradient is not finite.
    """
    if bool(torch.isfinite(gradients.sum())):
        return
    bad = (~torch.isfinite(gradients)).nonzero()
    if not len(bad):
        return  # finite values whose sum overflowed
    row, column = (int(v) for v in bad[0])
    if sketched:
        spans = workspace.sketch.groups.items()
        group = next(name for name, (a, b) in spans if a <= column < b)
        parameter = "sketch"
    else:
        group, parameter = workspace.layout.locate(column)
    raise GradientError(
        f"clip {workspace.clip_ids[clip]} ({versions[row]}), sigma"
        f" {workspace.sigmas[level]:.4g}, module {group} ({parameter}): gradient is not"
        " finite; use --dtype fp32, leave the clip out, or repair the checkpoint"
    )
