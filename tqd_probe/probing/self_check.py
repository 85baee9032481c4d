"""Is the engine right on the user's own model, and the model fit to be probed?

Engine against `torch.func`, products of gradients against forward mode and against the
change of the loss, the same gradient twice, and alone as in a batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tqd_probe.core.errors import GradientError
from tqd_probe.gradients import reference
from tqd_probe.gradients.capture import GradientCapture
from tqd_probe.models.base import Conditioned, per_clip_loss
from tqd_probe.probing.draws import Probe, draw_batch, draw_losses

AGREEMENT = {"fp32": 1e-3, "bf16": 0.1}
DrawLosses = Callable[[int, list[str]], Callable[[], torch.Tensor]]


def steadiness(
    losses: DrawLosses, engine: GradientCapture, versions: list[str]
) -> dict[str, float]:
    """Capture the same gradients again, and in a batch of another size.

    Args:
        losses: Sets up the losses of versions of a clip under one noise sample.
        engine: The capture engine.
        versions: Versions of a clip; several make the batch.

    Returns:
        ``repeat_error`` and ``batch_error``: largest relative differences between two
        captures of the same batch, and between each version alone and in the batch.
    """
    batch = versions[:4]
    first, _ = engine.per_clip(losses(0, batch), len(batch))
    again, _ = engine.per_clip(losses(0, batch), len(batch))
    alone = torch.cat([engine.per_clip(losses(0, [name]), 1)[0] for name in batch])
    if len(batch) == 1:  # no degraded versions: the clip beside itself
        twice, _ = engine.per_clip(losses(0, batch * 2), 2)
        first, alone = twice[:1], alone
        again = engine.per_clip(losses(0, batch * 2), 2)[0][:1]
    norms = first.double().norm(dim=1)

    def gap(other: torch.Tensor) -> float:
        return float(((other.double() - first.double()).norm(dim=1) / norms).max())

    return {"repeat_error": gap(again), "batch_error": gap(alone)}


def check_steadiness(found: dict[str, float], allowed: float) -> None:
    """Refuse a model whose gradients depend on chance or on the rest of the batch.

    Args:
        found: What `steadiness` returned.
        allowed: Largest relative difference between batch sizes.

    Raises:
        GradientError: If a difference is larger.
    """
    if found["repeat_error"] > 0:
        raise GradientError(
            "--self-check: the same clip and noise give two gradients that differ by"
            f" {found['repeat_error']:.2g}; no schedule is written; switch dropout and"
            " other chance off, or use a device with deterministic kernels"
        )
    if not found["batch_error"] <= allowed:
        raise GradientError(
            "--self-check: a clip's gradient depends on the rest of its batch, by"
            f" {found['batch_error']:.2g} (allowed {allowed:g}); no schedule is"
            " written; use --batch-size 1"
        )


def self_check(probe: Probe) -> dict[str, Any]:
    """Compare the engine with `torch.func` in float64 on two draws of the probe.

    A sketching engine is compared with the sketch of the oracle's gradients.

    Args:
        probe: The probe.

    Returns:
        ``relative_error`` (largest over clips); ``jvp_error`` and
        ``finite_difference_error``, relative errors of products by forward mode and by
        the change of the loss; and what `steadiness` finds.

    Raises:
        GradientError: If they disagree by more than the number type explains.
    """
    model, layout = probe.model, probe.layout
    engine = probe.engine(plain=True)
    sigma = float(probe.sigmas[len(probe.sigmas) // 2])
    errors, jvp_errors, slope_errors = [], [], []
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
        truth = reference.reference_gradients(model.network, layout, loss, value)
        right = probe.sketch.of_flat(truth) if probe.sketched else truth
        gap = (found.double() - right).norm(dim=1) / right.norm(dim=1)
        errors.append(float(gap.max()))
        direction = truth.mean(0)
        products = reference.directional_derivatives(
            model.network, layout, loss, value, direction
        )
        expected = truth @ direction
        jvp_errors.append(float(((products - expected) / expected.norm()).norm()))
        slopes = reference.finite_difference(
            model.network, layout, loss, value, direction
        )
        slope_errors.append(float(((slopes - expected) / expected.norm()).norm()))
    allowed = AGREEMENT[probe.settings.dtype]
    steady = steadiness(
        lambda clip, names: draw_losses(probe, clip, 0, sigma, names),
        engine,
        probe.encoded.conditions,
    )
    check_steadiness(steady, allowed)
    if max(slope_errors) > 1e-3:
        raise GradientError(
            "--self-check: a product of gradients and the change of the loss along one"
            f" differ by {max(slope_errors):.2g} (allowed 0.001); no schedule is"
            " written; the loss is not smooth here, or the model changes its weights"
        )
    if max(errors) > allowed or max(jvp_errors) > 1e-6:
        raise GradientError(
            f"--self-check: engine and torch.func disagree by {max(errors):.2g}"
            f" (allowed {allowed:g}), forward mode by {max(jvp_errors):.2g}; no"
            " schedule is written; report the model, or restrict --params"
        )
    return {
        "relative_error": max(errors),
        "jvp_error": max(jvp_errors),
        "finite_difference_error": max(slope_errors),
        **steady,
    }
