"""The optimiser of the trained parameters; the learning rate as a function of the step.

AdamW, Adafactor and Muon are torch's, AdamW in 8 bits torchao's, Prodigy its authors'.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch

from tqd_probe.core.errors import InputError
from tqd_probe.training.muon import MuonWithAdamW
from tqd_probe.training.settings import TrainSettings

Groups = list[dict[str, Any]]
EPS = 1e-8
LIBRARIES = {
    "adamw8bit": ("torchao", "pip install 'tqd_probe[quant]'"),
    "prodigy": ("prodigyopt", "pip install prodigyopt"),
}


def check_optimiser(settings: TrainSettings) -> None:
    """Refuse an optimiser that cannot be built here.

    Args:
        settings: Which one.

    Raises:
        InputError: If its library is not installed, or torch is too old for it.
    """
    name = settings.optimizer
    library, cure = LIBRARIES.get(name, ("torch", ""))
    if find_spec(library) is None:
        raise InputError(f"--optimizer {name}: {library} is not installed; {cure}")
    if name == "muon" and not hasattr(torch.optim, "Muon"):
        raise InputError(
            f"--optimizer muon: torch {torch.__version__} does not have it; pip install"
            " 'torch>=2.9'"
        )


def make_optimiser(
    parameters: list[torch.nn.Parameter], settings: TrainSettings
) -> torch.optim.Optimizer:
    """Build the optimiser.

    Matrices are decayed; biases, norms and other vectors are not.

    Args:
        parameters: Trained parameters.
        settings: Which one; learning rate, betas, weight decay.

    Returns:
        The optimiser.

    Raises:
        InputError: If its library is not installed.
    """
    check_optimiser(settings)
    groups = [
        {
            "params": [p for p in parameters if p.ndim >= 2],
            "weight_decay": settings.weight_decay,
        },
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    return BUILDERS[settings.optimizer](groups, settings)


def _adamw(groups: Groups, settings: TrainSettings) -> torch.optim.Optimizer:
    """Build AdamW (Loshchilov and Hutter, 2019); one kernel for all where on a GPU."""
    on_gpu = all(p.is_cuda for group in groups for p in group["params"])
    return torch.optim.AdamW(
        groups,
        lr=settings.lr,
        betas=(settings.beta1, settings.beta2),
        eps=EPS,
        fused=True if on_gpu else None,
    )


def _adamw8bit(groups: Groups, settings: TrainSettings) -> torch.optim.Optimizer:
    """Build AdamW whose moments have 8 bits (Dettmers et al., 2022).

    torchao compiles the step. On a CPU it runs as it is written: it needs no compiler
    then, and the time of an optimiser's step is small there.

    Returns:
        The optimiser.
    """
    from torchao.optim import AdamW8bit

    optimiser: Any = AdamW8bit(
        groups, lr=settings.lr, betas=(settings.beta1, settings.beta2), eps=EPS
    )
    if not all(p.is_cuda for group in groups for p in group["params"]):
        optimiser.step = torch.compiler.set_stance("force_eager")(optimiser.step)
    return optimiser


def _adafactor(groups: Groups, settings: TrainSettings) -> torch.optim.Optimizer:
    """Build Adafactor (Shazeer and Stern, 2018); ``lr`` is relative to a weight."""
    return torch.optim.Adafactor(groups, lr=settings.lr)


def _prodigy(groups: Groups, settings: TrainSettings) -> torch.optim.Optimizer:
    """Build Prodigy (Mishchenko and Defazio, 2024); its step size times ``lr``."""
    from prodigyopt import Prodigy

    return Prodigy(
        groups,
        lr=settings.lr,
        betas=(settings.beta1, settings.beta2),
        eps=EPS,
        safeguard_warmup=True,  # the learning rate is warmed up
    )


def _muon(groups: Groups, settings: TrainSettings) -> torch.optim.Optimizer:
    """Build Muon (Jordan et al., 2024) for matrices, AdamW for the rest.

    Its step is scaled to the size of AdamW's (Liu et al., 2025), so that one ``lr`` and
    one weight decay serve both.

    Returns:
        The optimiser.
    """
    parameters = [p for group in groups for p in group["params"]]
    matrices = [p for p in parameters if p.ndim == 2]
    decay = settings.weight_decay
    rest = [
        {**group, "params": [p for p in group["params"] if p.ndim != 2]}
        for group in groups
    ]
    rest = [group for group in rest if group["params"]]
    optimisers: list[torch.optim.Optimizer] = []
    if matrices:
        muon = torch.optim.Muon(
            matrices,
            lr=settings.lr,
            weight_decay=decay,
            adjust_lr_fn="match_rms_adamw",
        )
        optimisers.append(muon)
    if rest:
        optimisers.append(_adamw(rest, settings))
    return MuonWithAdamW(optimisers)


BUILDERS: dict[str, Callable[[Groups, TrainSettings], torch.optim.Optimizer]] = {
    "adamw": _adamw,
    "adamw8bit": _adamw8bit,
    "adafactor": _adafactor,
    "prodigy": _prodigy,
    "muon": _muon,
}


def set_learning_rate(optimiser: Any, lr: float) -> None:
    """Set the learning rate of all groups.

    Args:
        optimiser: The optimiser, wrapped or not.
        lr: The learning rate.
    """
    for group in optimiser.param_groups:
        if isinstance(group["lr"], torch.Tensor):  # torchao's, compiled with it
            group["lr"].fill_(lr)
        else:
            group["lr"] = lr


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
