"""Check the engine on the user's own model, and that the model can be probed.

Engine against `torch.func`, products of gradients against forward mode and against the
change of the loss, the same gradient twice, and alone as in a batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tqd_probe.core.errors import GradientError
from tqd_probe.gradients import reference
from tqd_probe.gradients.capture import GradientCapture
from tqd_probe.models.base import Conditioned, per_clip_loss
from tqd_probe.probing.losses import batch_losses, draw_batch
from tqd_probe.probing.micro_batches import Draw
from tqd_probe.probing.workspace import Workspace

AGREEMENT = {"fp32": 1e-3, "bf16": 0.1}


@dataclass(frozen=True)
class SelfCheck:
    """Largest relative differences found by a self-check.

    Attributes:
        relative_error: Between the engine's gradients and those of `torch.func`.
        jvp_error: Of products of gradients by forward mode.
        finite_difference_error: Of products by the change of the loss.
        repeat_error: Between two captures of the same batch.
        batch_error: Between a clip version alone and in a batch.
    """

    relative_error: float
    jvp_error: float
    finite_difference_error: float
    repeat_error: float
    batch_error: float

    def __str__(self) -> str:
        """Write the findings in one line."""
        return (
            f"self-check passed: engine within {self.relative_error:.1e} of torch.func,"
            f" forward mode within {self.jvp_error:.1e}, finite differences within"
            f" {self.finite_difference_error:.1e}; a clip alone and in a batch within"
            f" {self.batch_error:.1e}, twice the same bits"
        )


def repeatability(
    losses: Callable[[list[str]], Callable[[], torch.Tensor]],
    engine: GradientCapture,
    versions: list[str],
) -> tuple[float, float]:
    """Capture the same gradients again, and in a batch of another size.

    Args:
        losses: Prepares a forward pass over versions of one clip under one noise
            sample, which returns their losses.
        engine: The capture engine.
        versions: Versions of a clip; several make the batch.

    Returns:
        Largest relative differences between two captures of the same batch, and
        between each version alone and in the batch.
    """
    batch = versions[:4]
    first, _ = engine.per_clip(losses(batch), len(batch))
    again, _ = engine.per_clip(losses(batch), len(batch))
    alone = torch.cat([engine.per_clip(losses([name]), 1)[0] for name in batch])
    if len(batch) == 1:  # no degraded versions: the clip twice
        first = engine.per_clip(losses(batch * 2), 2)[0][:1]
        again = engine.per_clip(losses(batch * 2), 2)[0][:1]
    norms = first.double().norm(dim=1)

    def gap(other: torch.Tensor) -> float:
        return float(((other.double() - first.double()).norm(dim=1) / norms).max())

    return gap(again), gap(alone)


def check_repeatability(
    repeat_error: float, batch_error: float, allowed: float
) -> None:
    """Refuse a model whose gradients depend on chance or on the rest of the batch.

    Args:
        repeat_error: First result of `repeatability`.
        batch_error: Second result of `repeatability`.
        allowed: Largest relative difference between batch sizes.

    Raises:
        GradientError: If a difference is larger.
    """
    if repeat_error > 0:
        raise GradientError(
            "--self-check: the same clip and noise give two gradients that differ by"
            f" {repeat_error:.2g}; no schedule is written; disable dropout and"
            " other randomness, or use a device with deterministic kernels"
        )
    if not batch_error <= allowed:
        raise GradientError(
            "--self-check: a clip's gradient depends on the rest of its batch, by"
            f" {batch_error:.2g} (allowed {allowed:g}); no schedule is"
            " written; use --batch-size 1"
        )


def self_check(workspace: Workspace) -> SelfCheck:
    """Compare the engine with `torch.func` in float64 on two draws of the probe.

    A sketching engine is compared with the sketch of the oracle's gradients.

    Args:
        workspace: The probe.

    Returns:
        What was found.

    Raises:
        GradientError: If they disagree by more than the number type explains.
    """
    engine = workspace.engine(plain=True)
    sigma = float(workspace.sigmas[len(workspace.sigmas) // 2])
    versions = workspace.encoded.versions
    draws = [Draw(clip, 0) for clip in (0, 1)]
    cure = "leave out --self-check"

    def oracle_errors(size: int) -> np.ndarray:
        names = versions[:size]
        return np.array(
            [_oracle_errors(workspace, engine, d, sigma, names) for d in draws]
        )

    errors = workspace.guard.run(oracle_errors, min(2, len(versions)), cure=cure)
    error, jvp_error, slope_error = (float(x) for x in errors.max(0))
    repeat_error, batch_error = workspace.guard.run(
        lambda size: repeatability(
            lambda names: batch_losses(workspace, [(draws[0], names)], sigma),
            engine,
            versions[:size],
        ),
        min(4, len(versions)),
        cure=cure,
    )
    allowed = AGREEMENT[workspace.settings.dtype]
    check_repeatability(repeat_error, batch_error, allowed)
    if not slope_error <= 1e-3:
        raise GradientError(
            "--self-check: a product of gradients and the change of the loss along one"
            f" differ by {slope_error:.2g} (allowed 0.001); no schedule is written; the"
            " loss is not smooth here, or the model changes its weights"
        )
    if not (error <= allowed and jvp_error <= 1e-6):
        raise GradientError(
            f"--self-check: engine and torch.func disagree by {error:.2g} (allowed"
            f" {allowed:g}), forward mode by {jvp_error:.2g}; no schedule is written;"
            " report the model, or restrict --params"
        )
    return SelfCheck(error, jvp_error, slope_error, repeat_error, batch_error)


def _oracle_errors(
    workspace: Workspace,
    engine: GradientCapture,
    draw: Draw,
    sigma: float,
    versions: list[str],
) -> tuple[float, float, float]:
    """Return the errors of gradients, forward mode and slopes on one draw."""
    model, layout = workspace.model, workspace.layout
    losses = batch_losses(workspace, [(draw, versions)], sigma)
    found, _ = engine.per_clip(losses, len(versions))

    def loss(network: torch.nn.Module, value: Any) -> torch.Tensor:
        latents, conditioning, noise, level = value
        batch = Conditioned(latents, conditioning)
        return per_clip_loss(model.bound_to(network), batch, noise, level)

    batch, eps, levels = draw_batch(workspace, draw, sigma, versions)
    value = (
        batch.latents.double(),
        {key: part.double() for key, part in batch.conditioning.items()},
        eps.double(),
        levels.double(),
    )
    truth = reference.reference_gradients(model.network, layout, loss, value)
    expected = workspace.sketch.of_flat(truth) if workspace.sketched else truth
    gap = (found.double() - expected).norm(dim=1) / expected.norm(dim=1)

    direction = truth.mean(0)
    products = truth @ direction
    forward, slopes = (
        method(model.network, layout, loss, value, direction)
        for method in (reference.directional_derivatives, reference.finite_difference)
    )
    return (
        float(gap.max()),
        float(((forward - products) / products.norm()).norm()),
        float(((slopes - products) / products.norm()).norm()),
    )
