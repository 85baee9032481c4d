"""Where trained weights come from, written into their safetensors headers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file

from tqd_probe.core.errors import InputError
from tqd_probe.core.files import digest, staged
from tqd_probe.core.version import __version__
from tqd_probe.schedules.band_schedule import BandSchedule
from tqd_probe.training.settings import TrainSettings

SAMPLING = (
    "sampler",
    "base",
    "logit_mean",
    "logit_std",
    "shift",
    "space",
    "kappa_base",
    "kappa_max",
    "order",
)
PREFIX = "tqd_probe."


def training_metadata(
    settings: TrainSettings,
    fingerprint: str,
    schedule: BandSchedule | None,
    scores: str,
    step: int,
    resolved: dict[str, Any],
) -> dict[str, str]:
    """Describe a training in strings.

    Args:
        settings: The run's settings.
        fingerprint: Fingerprint of the weights training started from.
        schedule: The schedule followed at this step, or None.
        scores: Where classes and scores come from.
        step: Optimiser steps done.
        resolved: Sampler settings that were derived, such as ``kappa_max``.

    Returns:
        Keys with `PREFIX`; the whole schedule, so that the file alone is enough.
    """
    sampling = {key: getattr(settings, key) for key in SAMPLING} | resolved
    values = {
        "version": __version__,
        "base_model": settings.ckpt,
        "base_fingerprint": fingerprint,
        "base_quantised": settings.quantise,
        "expert": settings.expert or "",
        "sampler": json.dumps(sampling, sort_keys=True),
        "seed": str(settings.seed),
        "step": str(step),
        "scores": scores,
        "text_dropout": repr(settings.text_dropout),
        "ema_decay": repr(settings.ema_decay),
    }
    if schedule is not None:
        content = schedule.to_json()
        values["schedule"] = json.dumps(content, sort_keys=True, allow_nan=False)
        values["schedule_sha256"] = digest(content)
    return {PREFIX + key: value for key, value in values.items()}


def add_metadata(folder: Path, metadata: dict[str, str]) -> None:
    """Add metadata to the weight files of a saved pipeline that were just written.

    Args:
        folder: A component's folder.
        metadata: Strings for the headers; what is there stays.
    """
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as handle:
            kept = dict(handle.metadata() or {})
            tensors = {name: handle.get_tensor(name) for name in list(handle.keys())}
        with staged(path) as part:
            save_file(tensors, part, metadata={**kept, **metadata})


def read_metadata(path: str | Path) -> dict[str, str]:
    """Read the provenance in the header of a trained file.

    Args:
        path: A safetensors file that `tqd_probe.train` wrote.

    Returns:
        Values by key, without the prefix; empty for a file of another program.

    Raises:
        InputError: If the file is missing or damaged.
    """
    try:
        with safe_open(path, "pt") as handle:
            metadata = dict(handle.metadata() or {})
    except Exception as error:  # the library raises whatever it meets
        raise InputError(
            f"{path}: not a complete safetensors file ({error}); copy it again"
        ) from None
    return {
        key.removeprefix(PREFIX): value
        for key, value in metadata.items()
        if key.startswith(PREFIX)
    }
