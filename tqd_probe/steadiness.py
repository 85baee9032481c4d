"""Does a model give the same gradient twice, and alone as in a batch?"""

from __future__ import annotations

from collections.abc import Callable

import torch

from tqd_probe.errors import GradientError
from tqd_probe.gradients.capture import GradientCapture

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
