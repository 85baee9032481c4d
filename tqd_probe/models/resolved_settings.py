"""Device and number types of a run: what ``auto`` means, decided once and recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from tqd_probe.core.devices import resolve_device
from tqd_probe.core.errors import InputError
from tqd_probe.models.load import choose_types, open_index
from tqd_probe.models.number_types import has_bf16
from tqd_probe.models.single_file import find_weights


class NetworkSettings(Protocol):
    """Settings of a command that runs a network."""

    ckpt: str
    pipeline: str | None
    device: str
    dtype: Any
    vae_dtype: Any
    tf32: Any
    exact_resume: Any
    quantise: Any

    def model_copy(self, *, update: Mapping[str, Any] | None = None) -> Any:
        """Return a copy with other values."""
        ...


S = TypeVar("S", bound=NetworkSettings)
UP_TO_ROUNDING = "; a resumed run is the same up to rounding (--exact-resume off)"


def resolve_settings(settings: S) -> S:
    """Replace ``auto`` by what it means on this machine and for this checkpoint.

    Call it where a network is loaded, not earlier (`resolve_device`).

    Args:
        settings: Settings of a run.

    Returns:
        A copy with ``device``, ``dtype``, ``vae_dtype`` and ``exact_resume`` as they
        are used and recorded.

    Raises:
        InputError: If a GPU is missing, a checkpoint cannot be opened, or ``--tf32 on``
            meets a CPU.
    """
    device = resolve_device(settings.device)
    if device == "cpu" and settings.tf32 == "on":
        raise InputError("--tf32 on: a CPU has no TF32; leave it out")
    types = {"dtype": settings.dtype, "vae_dtype": settings.vae_dtype}
    if not has_bf16(device):  # whatever the checkpoint, which may not be here yet
        types = {k: "fp32" if v == "auto" else v for k, v in types.items()}
    if "auto" in types.values():
        files = find_weights(settings.ckpt, settings.pipeline)
        path, _, class_name = open_index(settings.ckpt, settings.pipeline)
        found = choose_types(path, class_name, device, **types, weights=files)
        types = dict(zip(types, found))
    exact = settings.exact_resume
    if exact == "auto":
        exact = "on" if device == "cpu" else "off"
    update = {"device": device, "exact_resume": exact, **types}
    copy: S = settings.model_copy(update=update)
    return copy


def describe_types(settings: NetworkSettings) -> str:
    """Say in one line where and in which number type a run computes.

    Args:
        settings: Resolved settings.

    Returns:
        The line, for the log and the user.
    """
    cuda = settings.device != "cpu"
    quantised = ""
    if settings.quantise != "none":
        quantised = f" on {settings.quantise} weights"
    return (
        f"device {settings.device}, number type {settings.dtype}{quantised},"
        f" autoencoder {settings.vae_dtype}{', TF32' if settings.tf32 == 'on' else ''}"
        + (UP_TO_ROUNDING if cuda and settings.exact_resume == "off" else "")
    )
