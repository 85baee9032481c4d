"""LoRA (Hu et al., 2021) on a denoising network: add, load, save, merge.

peft implements it; files have diffusers' format. An adapter adds ``(alpha / rank) B A``
to the weight of a linear layer. diffusers reads ``alpha`` from the file's metadata and
takes ``alpha = rank`` where it is missing, so a file saved without it loads as another
model. Files written here always have it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tqd_probe.core.errors import InputError
from tqd_probe.core.files import staged
from tqd_probe.core.rng import stream
from tqd_probe.models.lora_file import FILE, METADATA, LoraWeights, most_common
from tqd_probe.models.original_names import OriginalNames

ADAPTER = "default"
PREFIX = "transformer"  # diffusers loads it into either expert under this name
SAVED_CONFIG = (
    "r",
    "lora_alpha",
    "rank_pattern",
    "alpha_pattern",
    "target_modules",
    "use_rslora",
)


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
    _inject(network, chosen, r=rank, lora_alpha=alpha)
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


def load_lora(
    network: torch.nn.Module, weights: LoraWeights, fuse: bool = False
) -> list[str]:
    """Put a LoRA into a network.

    Args:
        network: The network, without one; changed in place.
        weights: The LoRA (`read_lora`).
        fuse: Merge the update into the weights and remove the LoRA. Otherwise the
            LoRA stays and is what is probed or trained.

    Returns:
        Names of the LoRA's parameters; none if it is fused.
    """
    layers = weights.layers
    ranks = {name: len(layer.a) for name, layer in layers.items()}
    alphas = {name: layer.alpha for name, layer in layers.items()}
    rank, alpha = most_common([*ranks.values()]), most_common([*alphas.values()])
    _inject(
        network,
        list(layers),
        r=rank,
        lora_alpha=alpha,
        rank_pattern=_exceptions(ranks, rank),
        alpha_pattern=_exceptions(alphas, alpha),
        use_rslora=weights.rank_stabilised,
    )
    for name, layer in layers.items():
        module: Any = network.get_submodule(name)
        module.lora_A[ADAPTER].weight.data = layer.a
        module.lora_B[ADAPTER].weight.data = layer.b
    names = _prepare(network, None)
    if not fuse:
        return names
    net: Any = network
    net.fuse_lora()
    net.unload_lora()
    for parameter in network.parameters():
        parameter.requires_grad_(parameter.is_floating_point())
    return []


def _exceptions(values: dict[str, Any], usual: Any) -> dict[str, Any]:
    """Return values other than the usual one, by a pattern for peft of the name."""
    return {"^" + re.escape(n): v for n, v in values.items() if v != usual}


def _inject(network: torch.nn.Module, layers: list[str], **config: Any) -> None:
    """Add a LoRA to layers; peft takes a name for the end of other names, too."""
    from peft import LoraConfig

    linear = [n for n, m in network.named_modules() if isinstance(m, torch.nn.Linear)]
    ends = tuple("." + name for name in layers)
    targets: Any = layers
    if any(name.endswith(ends) and name not in layers for name in linear):
        targets = "|".join(map(re.escape, layers))
    net: Any = network
    net.add_adapter(LoraConfig(target_modules=targets, **config), ADAPTER)


def _state(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return the LoRA's tensors by their names in a file, without the prefix."""
    from peft import get_peft_model_state_dict

    return dict(get_peft_model_state_dict(network, adapter_name=ADAPTER))


def save_lora(
    network: torch.nn.Module,
    folder: Path,
    metadata: dict[str, str] | None = None,
    comfyui: OriginalNames | None = None,
) -> Path:
    """Write a network's LoRA in the format of ``pipeline.load_lora_weights(folder)``.

    Args:
        network: The network, with its LoRA.
        folder: Folder to write to; made if missing.
        metadata: Further entries of the file's header, such as the schedule's hash.
        comfyui: Write ComfyUI's format instead, with these names (`comfyui_tensors`).

    Returns:
        The file.

    Raises:
        InputError: If the network has no LoRA, or the file cannot be written.
    """
    if not has_lora(network):
        raise InputError(f"{folder}: the network has no LoRA; save it in full")
    header = {**(metadata or {}), "format": "pt"}
    if comfyui is None:
        header[METADATA] = _configuration(network)
        state = {f"{PREFIX}.{key}": value for key, value in _state(network).items()}
    else:
        state = comfyui_tensors(network, comfyui)
    tensors = {key: value.detach().cpu().contiguous() for key, value in state.items()}
    path = Path(folder) / FILE
    with staged(path) as part:
        save_file(tensors, part, metadata=header)
    return path


def _configuration(network: torch.nn.Module) -> str:
    """Return what diffusers writes of a LoRA into the header of its file."""
    net: Any = network
    config = net.peft_config[ADAPTER].to_dict()
    kept = {key: config[key] for key in SAVED_CONFIG if config.get(key) is not None}
    if not isinstance(kept["target_modules"], str):
        kept["target_modules"] = sorted(kept["target_modules"])
    prefixed = {f"{PREFIX}.{key}": value for key, value in kept.items()}
    return json.dumps(prefixed, sort_keys=True)


def comfyui_tensors(
    network: torch.nn.Module, names: OriginalNames
) -> dict[str, torch.Tensor]:
    """Return a LoRA in ComfyUI's names, with alpha as a tensor per layer.

    Layers that are one in the original code become one: the ranks add up, and ``B`` has
    zeros where a part does not depend on a rank. The update is the same.

    Args:
        network: The network, with its LoRA.
        names: Original names of its layers.

    Returns:
        Tensors by name, float32.
    """
    layers: dict[str, Any] = {
        name: module
        for name, module in network.named_modules()
        if hasattr(module, "lora_A") and hasattr(module, "get_delta_weight")
    }
    linear = [n for n, m in network.named_modules() if hasattr(m, "out_features")]
    plain = [name for name in linear if ".lora_" not in name]
    plain = [name.removesuffix(".base_layer") for name in plain]
    found: dict[str, torch.Tensor] = {}
    for original, parts in names.grouped(dict.fromkeys(plain)).items():
        chosen = [layers[name] for name in parts if name in layers]
        if not chosen:
            continue
        scales = [module.scaling[ADAPTER] for module in chosen]
        scaled = [
            module.lora_B[ADAPTER].weight * (scale / scales[0])
            for module, scale in zip(chosen, scales)
        ]
        filled = iter(scaled)
        rows = [
            next(filled)
            if name in layers
            else scaled[0].new_zeros(_outputs(network, name), 0)
            for name in parts
        ]
        a = torch.cat([module.lora_A[ADAPTER].weight for module in chosen])
        key = f"diffusion_model.{original}"
        found[f"{key}.lora_A.weight"] = a
        found[f"{key}.lora_B.weight"] = torch.block_diag(*rows)
        found[f"{key}.alpha"] = torch.tensor(scales[0] * len(a))
    return found


def _outputs(network: torch.nn.Module, layer: str) -> int:
    module: Any = network.get_submodule(layer)
    return int(module.out_features)


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
