"""The engine against `torch.func` on the user's own model, before a schedule."""

from __future__ import annotations

from typing import Any

import torch

from tqd_probe.draws import Probe, draw_batch, draw_losses
from tqd_probe.errors import GradientError
from tqd_probe.gradients import reference
from tqd_probe.models.base import Conditioned, per_clip_loss

AGREEMENT = {"fp32": 1e-3, "bf16": 0.1}


def self_check(probe: Probe) -> dict[str, Any]:
    """Compare the engine with `torch.func` in float64 on two draws of the probe.

    A sketching engine is compared with the sketch of the oracle's gradients.

    Args:
        probe: The probe.

    Returns:
        ``relative_error`` (largest over clips) and ``jvp_error``, the relative error
        of products by forward mode.

    Raises:
        GradientError: If they disagree by more than the number type explains.
    """
    model, layout = probe.model, probe.layout
    engine = probe.engine()
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
        right = probe.sketch.of_flat(truth) if probe.sketched else truth
        gap = (found.double() - right).norm(dim=1) / right.norm(dim=1)
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
