"""Adam's metric: inner products of gradients weighted as Adam's steps weight them.

Adam moves along ``g / (sqrt(v) + eps)``, not along g. To first order, a step for one
clip changes the loss of another by ``<a, b> = sum_p a_p b_p / (sqrt(v_p) + eps)``
(Kingma and Ba, 2015). Gradients scaled by the square root of that weight have this as
their plain inner product. Constant factors of v cancel in cosines and norm ratios.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from tqd_probe.core.errors import InputError
from tqd_probe.core.files import file_digest
from tqd_probe.core.tensor_files import read_tensors, write_tensors
from tqd_probe.gradients.layout import Layout

EPSILON = 1e-8  # Adam's default
SAMPLES = 64  # pairs of clip and level that second moments are estimated from
FORMS = ("{}", "exp_avg_sq.{}", "{}.exp_avg_sq", "state.{}.exp_avg_sq")


def metric_scale(moments: torch.Tensor) -> torch.Tensor:
    """Return the factor of every gradient entry.

    Args:
        moments: Second moments v by element of the flat gradient ``[size]``.

    Returns:
        ``(sqrt(v) + eps) ** -1/2``, float32 ``[size]``.
    """
    return ((moments.double().sqrt() + EPSILON) ** -0.5).float()


def estimate_moments(
    gradients: Callable[[int, int], torch.Tensor], clips: int, levels: int
) -> torch.Tensor:
    """Estimate Adam's second moments from single-clip golden gradients.

    Adam averages squares of batch gradients. Where noise dominates, these are the
    squares for single clips divided by the batch size, a constant factor.

    Args:
        gradients: Computes the golden gradient ``[size]`` of a clip at a level.
        clips: Number of golden clips.
        levels: Number of noise levels.

    Returns:
        Mean squares ``[size]`` over at least `SAMPLES` pairs of clip and level (all
        pairs where there are fewer), every level as often as another but for one.
    """
    rounds = min(levels, -(-max(SAMPLES, levels) // clips))
    total: torch.Tensor | float = 0.0
    for turn in range(rounds):
        for clip in range(clips):
            # Levels are visited evenly, and no pair of clip and level twice.
            level = (clip + turn * -(-levels // rounds)) % levels
            total = total + gradients(clip, level).double() ** 2
    return torch.as_tensor(total) / (rounds * clips)


def stored_moments(
    path: Path, fingerprint: str, estimate: Callable[[], torch.Tensor]
) -> torch.Tensor:
    """Estimate second moments once and store them: a resumed run needs the same.

    Args:
        path: The file.
        fingerprint: Fingerprint of the gradients they belong to.
        estimate: Estimates them (`estimate_moments`), where the file is missing.

    Returns:
        Moments ``[size]``.

    Raises:
        InputError: If the file is damaged.
    """
    place = f"{fingerprint} second moments"
    if not path.exists():
        write_tensors(path, {"moments": estimate().numpy()}, place)
    known = read_tensors(path, place)
    if known is None:
        raise InputError(f"{path}: damaged; run again with --overwrite")
    return torch.from_numpy(known["moments"])


def read_adam_state(
    path: Path | None, layout: Layout
) -> tuple[torch.Tensor | None, str]:
    """Read Adam's second moments of the probed parameters from a file.

    Args:
        path: A safetensors file with one tensor per parameter, named as the parameter,
            with ``exp_avg_sq`` before or after it; None to estimate them.
        layout: The probed parameters.

    Returns:
        Moments ``[size]``, None if they are to be estimated; and a description of them
        for fingerprints.

    Raises:
        InputError: If the file lacks a parameter or holds impossible values.
    """
    if path is None:
        return None, "estimated from golden gradients"
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"--adam-state {path}: cannot be read as safetensors ({error}); give a file"
            " of exp_avg_sq by parameter name"
        ) from None
    parts = []
    for name, (start, stop) in layout.parameters.items():
        size = stop - start
        key = next((f.format(name) for f in FORMS if f.format(name) in tensors), None)
        if key is None:
            raise InputError(
                f"--adam-state {path}: {name}: no second moments; the file must hold"
                " those of all probed parameters (--params)"
            )
        value = tensors[key].float().flatten()
        if len(value) != size:
            raise InputError(
                f"--adam-state {path}: {key}: {len(value)} numbers, the parameter has"
                f" {size}; give the state of this checkpoint"
            )
        if not bool((value >= 0).all()) or not bool(torch.isfinite(value).all()):
            raise InputError(
                f"--adam-state {path}: {key}: second moments must be finite and not"
                " negative; give exp_avg_sq, not exp_avg"
            )
        parts.append(value)
    return torch.cat(parts), f"sha256:{file_digest(path)}"
