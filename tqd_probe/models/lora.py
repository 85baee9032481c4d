"""LoRA (Hu et al., 2021) on a denoising network: add, load, save, merge.

peft implements it; files have diffusers' format. An adapter adds ``(alpha / rank) B A``
to the weight of a linear layer. diffusers reads ``alpha`` from the file's metadata and
takes ``alpha = rank`` where it is missing, so a file saved without it loads as another
model. Files written here always have it.
"""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tqd_probe.core.errors import InputError
from tqd_probe.core.files import staged
from tqd_probe.core.library_logging import silent_diffusers
from tqd_probe.core.rng import stream
from tqd_probe.models.weights import read_header

ADAPTER = "default"
FILE = "pytorch_lora_weights.safetensors"
PREFIX = "transformer"  # diffusers loads it into either expert under this name
METADATA = "lora_adapter_metadata"
SAVED_CONFIG = (
    "r",
    "lora_alpha",
    "rank_pattern",
    "alpha_pattern",
    "target_modules",
    "use_rslora",
)
log = logging.getLogger("tqd_probe")


def add_lora(
    network: torch.nn.Module, rank: int, alpha: float, targets: str, seed: int
) -> list[str]:
    """Add a new LoRA with zero update: B is zero.

    A is uniform in ``[-1, 1] / sqrt(inputs)``, as in peft, but drawn from the random
    stream of the parameter's name. Afterwards only the LoRA's parameters, in float32,
    require a gradient.

    Args:
        network: The network; changed in place.
        rank: Rank of the update.
        alpha: Its scale is ``alpha / rank``.
        targets: Regular expression that matches full names of linear layers
            (`VideoModel.lora_targets` is the family's).
        seed: Run seed.

    Returns:
        Names of the LoRA's parameters.

    Raises:
        InputError: If rank or alpha is not positive, the network already has a LoRA, or
            no linear layer matches.
    """
    if rank < 1 or not alpha > 0:
        raise InputError(f"LoRA rank {rank}, alpha {alpha:g}: both must be positive")
    if has_lora(network):
        raise InputError("the network has a LoRA already; train that, or fuse it")
    try:
        wanted = re.compile(targets)
    except re.error as error:
        raise InputError(
            f"LoRA targets {targets!r}: not a regular expression ({error})"
        ) from error
    linear = [n for n, m in network.named_modules() if isinstance(m, torch.nn.Linear)]
    chosen = [name for name in linear if wanted.fullmatch(name)]
    if not chosen:
        raise InputError(
            f"LoRA targets {targets!r}: fit no linear layer; names look like"
            f" {linear[len(linear) // 2]!r}"
        )
    from peft import LoraConfig

    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=chosen)  # type: ignore[arg-type]
    net: Any = network
    net.add_adapter(config, ADAPTER)
    return _prepare(network, seed)


def has_lora(network: torch.nn.Module) -> bool:
    """Return whether a network has a LoRA that is not fused.

    Args:
        network: The network.

    Returns:
        True if it does.
    """
    return any(".lora_" in name for name, _ in network.named_parameters())


def _prepare(network: torch.nn.Module, seed: int | None) -> list[str]:
    """Make only the LoRA trainable, in float32; with a seed, draw A."""
    names = []
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(".lora_" in name)
        if ".lora_" not in name:
            continue
        names.append(name)
        parameter.data = parameter.data.float()
        if seed is not None and ".lora_A." in name:
            rows, columns = parameter.shape
            values = stream(seed, "lora", name).uniform(-1, 1, (rows, columns))
            start = torch.from_numpy(values / columns**0.5)
            parameter.data = start.to(parameter.data)
    return names


def find_lora_file(path: str | Path) -> Path:
    """Find the weight file of a LoRA.

    Args:
        path: A safetensors file, or a folder with one.

    Returns:
        The file; its header and length were checked.

    Raises:
        InputError: If there is none or several, or it is damaged or pickled.
    """
    place = Path(path)
    if place.is_dir():
        found = sorted(place.glob("*.safetensors"))
        if (place / FILE) in found:
            found = [place / FILE]
        if len(found) != 1:
            raise InputError(
                f"--lora {path}: {len(found)} safetensors files in the folder, none"
                f" called {FILE}; name the file"
            )
        place = found[0]
    if not place.is_file():
        raise InputError(f"--lora {path}: no such file or folder")
    if place.suffix != ".safetensors":
        raise InputError(
            f"--lora {path}: only .safetensors is read, pickled weights are refused"
        )
    read_header(place)
    return place


def load_lora(pipeline: Any, network: torch.nn.Module, path: Path, fuse: bool) -> None:
    """Load a LoRA into a network, as the family's pipeline does.

    Args:
        pipeline: A pipeline of the family whose `transformer` is the network; other
            components may be None. None for families whose pipeline loads no LoRA
            (HunyuanVideo-1.5 in diffusers 0.42): then the network loads it.
        network: The network; changed in place.
        path: The file (`find_file`).
        fuse: Merge the update into the weights and remove the LoRA. Otherwise the
            LoRA stays and is what is probed or trained.

    Raises:
        InputError: If tensors of the file have no place in the network, or are not
            finite.
    """
    cure = "use a LoRA that was trained on this model"
    folder, name = str(path.parent), path.name
    stated = _stated(path)
    net: Any = network
    try:
        with silent_diffusers():
            if pipeline is not None:
                state = type(pipeline).lora_state_dict(folder, weight_name=name)
                state = state[0] if isinstance(state, tuple) else state
                pipeline.load_lora_weights(
                    folder, weight_name=name, adapter_name=ADAPTER
                )
            else:
                state = load_file(path)
                net.load_lora_adapter(
                    folder, weight_name=name, prefix=PREFIX, adapter_name=ADAPTER
                )
    except Exception as error:  # libraries raise many types
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"--lora {path}: cannot be loaded ({type(error).__name__}: {reason});"
            f" {cure}"
        ) from error
    loaded = _state(network) if has_lora(network) else {}
    start = PREFIX + "."
    lost = sorted(
        key
        for key in state
        if not key.endswith(".alpha") and key.removeprefix(start) not in loaded
    )
    if lost or not loaded:
        shown = lost[0] if lost else "nothing in it"
        raise InputError(
            f"--lora {path}: {len(lost)} of {len(state)} tensors have no place in the"
            f" network (such as {shown}); {cure}"
        )
    for key, value in loaded.items():
        if not bool(torch.isfinite(value).all()):
            raise InputError(f"--lora {path}: {key}: not finite; {cure}")
    if not stated and not any(key.endswith(".alpha") for key in state):
        log.warning(
            "--lora %s: states no alpha; taken as its rank, as in diffusers", path
        )
    _prepare(network, None)
    if fuse:
        net.fuse_lora()
        net.unload_lora()
        for parameter in network.parameters():
            parameter.requires_grad_(parameter.is_floating_point())


def _stated(path: Path) -> dict[str, Any] | None:
    """Read the LoRA configuration in a file's metadata."""
    with safe_open(path, "pt") as handle:
        text = (handle.metadata() or {}).get(METADATA)
    try:
        return json.loads(text) if text else None
    except ValueError:
        raise InputError(
            f"--lora {path}: {METADATA} in its metadata is not JSON; save it again"
        ) from None


def _state(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return the LoRA's tensors by their names in a file, without the prefix."""
    from peft import get_peft_model_state_dict

    return dict(get_peft_model_state_dict(network, adapter_name=ADAPTER))


def save_lora(
    network: torch.nn.Module, folder: Path, metadata: dict[str, str] | None = None
) -> Path:
    """Write a network's LoRA in the format of ``pipeline.load_lora_weights(folder)``.

    Args:
        network: The network, with its LoRA.
        folder: Folder to write to; made if missing.
        metadata: Further entries of the file's header, such as the schedule's hash.

    Returns:
        The file.

    Raises:
        InputError: If the network has no LoRA, or the file cannot be written.
    """
    if not has_lora(network):
        raise InputError(f"{folder}: the network has no LoRA; save it in full")
    net: Any = network
    config = net.peft_config[ADAPTER].to_dict()
    kept = {key: config[key] for key in SAVED_CONFIG if config.get(key) is not None}
    if not isinstance(kept["target_modules"], str):
        kept["target_modules"] = sorted(kept["target_modules"])
    header = {
        **(metadata or {}),
        "format": "pt",
        METADATA: json.dumps(
            {f"{PREFIX}.{key}": value for key, value in kept.items()}, sort_keys=True
        ),
    }
    tensors = {
        f"{PREFIX}.{key}": value.detach().cpu().contiguous()
        for key, value in _state(network).items()
    }
    path = Path(folder) / FILE
    with staged(path) as part:
        save_file(tensors, part, metadata=header)
    return path


def merged_state(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return a network's weights with its LoRA merged.

    Args:
        network: The network, with or without a LoRA; it is not changed.

    Returns:
        The state dictionary of the architecture without LoRA.
    """
    state = dict(network.state_dict())
    if not has_lora(network):
        return state
    plain: dict[str, torch.Tensor] = {}
    for name, value in state.items():
        if ".lora_" not in name:
            plain[name.replace(".base_layer.", ".")] = value
    for name, module in network.named_modules():
        if hasattr(module, "get_delta_weight"):
            weight = plain[f"{name}.weight"]
            delta: Any = module.get_delta_weight(ADAPTER)
            plain[f"{name}.weight"] = (
                weight.float() + delta.to(weight.device).float()
            ).to(weight)
    return plain
