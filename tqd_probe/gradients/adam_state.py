"""Adam's second moments of the user's own optimiser, from a safetensors file."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from tqd_probe.core.errors import InputError
from tqd_probe.core.known_files import refuse_other_kinds
from tqd_probe.gradients.layout import Layout
from tqd_probe.gradients.metric import matrix_shape

A_STATE = "a safetensors file of exp_avg_sq by parameter name"
FORMS = ("{}", "exp_avg_sq.{}", "{}.exp_avg_sq", "state.{}.exp_avg_sq")


def read_adam_state(path: Path, layout: Layout, factored: bool) -> Tensor:
    """Read Adam's second moments of the probed parameters from a file.

    Args:
        path: A safetensors file with one tensor per parameter, named as the parameter,
            with ``exp_avg_sq`` before or after it.
        layout: The probed parameters; of each, its shape or all its numbers in a row.
        factored: Reduce each parameter's to rows and columns as it is read.

    Returns:
        Moments ``[layout.size]``; factored ones as `metric.factored_metric` takes them.

    Raises:
        InputError: If the file lacks a parameter or holds impossible values.
    """
    parts = []
    if not path.exists():
        raise InputError(f"--adam-state {path}: no such file; correct the path")
    refuse_other_kinds(path, {"weights", "LoRA"}, lambda kind: f"give {A_STATE}")
    try:
        with safe_open(path, "pt") as handle:
            known = set(handle.keys())
            for name, shape in layout.shapes.items():
                key = next(
                    (f.format(name) for f in FORMS if f.format(name) in known), ""
                )
                if not key:
                    raise InputError(
                        f"--adam-state {path}: {name}: no second moments; the file must"
                        " hold those of all probed parameters (--params)"
                    )
                value = handle.get_tensor(key)
                _check(value, shape, f"--adam-state {path}: {key}")
                value = value.float().flatten()
                parts.append(_reduced(value, shape) if factored else value)
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"--adam-state {path}: cannot be read as safetensors ({error}); give"
            f" {A_STATE}"
        ) from None
    moments = torch.cat(parts)
    if not bool(moments.any()):
        raise InputError(
            f"--adam-state {path}: all second moments are zero; give the state of an"
            " optimiser that has taken steps"
        )
    return moments


def _check(value: Tensor, shape: tuple[int, ...], where: str) -> None:
    """Refuse what cannot be second moments of a parameter."""
    if tuple(value.shape) not in (shape, (math.prod(shape),)):
        raise InputError(
            f"{where}: shape {list(value.shape)}, the parameter's is {list(shape)};"
            " give the state of this checkpoint"
        )
    if not value.is_floating_point():
        raise InputError(
            f"{where}: numbers of type {str(value.dtype).removeprefix('torch.')}; give"
            " exp_avg_sq in floating point"
        )
    value = value.float()
    if not bool((value >= 0).all()) or not bool(torch.isfinite(value).all()):
        raise InputError(
            f"{where}: second moments must be finite and not negative; give exp_avg_sq,"
            " not exp_avg"
        )


def _reduced(value: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return the means of rows and of columns."""
    matrix = value.view(matrix_shape(shape))
    return torch.cat([matrix.mean(1), matrix.mean(0)])
