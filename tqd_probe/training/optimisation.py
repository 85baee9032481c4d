"""AdamW over the trained parameters; the learning rate as a function of the step."""

from __future__ import annotations

import math

import torch

from tqd_probe.training.settings import TrainSettings


def make_optimiser(
    parameters: list[torch.nn.Parameter], settings: TrainSettings
) -> torch.optim.AdamW:
    """Build AdamW (Loshchilov and Hutter, 2019).

    Matrices are decayed; biases, norms and other vectors are not.

    Args:
        parameters: Trained parameters.
        settings: Learning rate, betas, weight decay.

    Returns:
        The optimiser.
    """
    matrices = [p for p in parameters if p.ndim >= 2]
    vectors = [p for p in parameters if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=settings.lr,
        betas=(settings.beta1, settings.beta2),
        eps=1e-8,
    )


def learning_rate(step: int, settings: TrainSettings) -> float:
    """Return the learning rate of a step: linear warm-up, then constant or cosine.

    Args:
        step: Number of the step, from 0.
        settings: Peak, warm-up, kind and number of steps.

    Returns:
        ``lr (step + 1) / warmup`` during the warm-up; then ``lr``, or half a cosine
        from ``lr`` to 0 at the last step.
    """
    if step < settings.warmup:
        return settings.lr * (step + 1) / settings.warmup
    if settings.lr_schedule == "constant":
        return settings.lr
    done = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    return settings.lr * 0.5 * (1 + math.cos(math.pi * done))
