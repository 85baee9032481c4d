"""Quantised networks: the frozen base of a probe or of a LoRA in 8 or 4 bits.

diffusers quantises linear layers while it loads them: int8 and fp8 by torchao, with one
scale per row, nf4 by bitsandbytes. The layers compute with the dequantised weight, in
the network's number type. A quantised weight cannot be trained, but the gradient with
respect to the weight it stands for is defined, and is what a probe captures.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import nn
from torch.distributed.tensor import DTensor
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from tqd_probe.core.errors import InputError

LIBRARIES = {
    "int8": ("torchao", "0.16"),
    "fp8": ("torchao", "0.16"),
    "nf4": ("bitsandbytes", "0.46"),
}


def check_quantisation(kind: str, device: torch.device) -> None:
    """Refuse a quantisation that cannot be done here.

    Args:
        kind: ``none``, ``int8``, ``fp8`` or ``nf4``.
        device: Device of the network.

    Raises:
        InputError: If it needs a GPU, or its library is missing or too old.
    """
    if kind == "none":
        return
    if kind == "nf4" and device.type != "cuda":
        raise InputError(
            f"--quantise nf4: needs a CUDA GPU, and the device is {device.type}; use"
            " --quantise int8"
        )
    library, least = LIBRARIES[kind]
    cure = "pip install 'tqd_probe[quant]'"
    try:
        found = version(library)
    except PackageNotFoundError:
        raise InputError(
            f"--quantise {kind}: {library} is not installed; {cure}"
        ) from None
    if tuple(map(int, found.split(".")[:2])) < tuple(map(int, least.split("."))):
        raise InputError(
            f"--quantise {kind}: {library} {found} is older than {least}; {cure}"
        )


def loading_options(
    kind: str, dtype: torch.dtype, device: torch.device
) -> dict[str, Any]:
    """Return what `from_pretrained` must be told to quantise a network.

    Args:
        kind: ``none``, ``int8``, ``fp8`` or ``nf4``.
        dtype: The network's number type.
        device: Its device.

    Returns:
        Keyword arguments; none without quantisation.
    """
    if kind == "none":
        return {}
    if kind == "nf4":
        from diffusers import BitsAndBytesConfig

        config: Any = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=dtype,
        )
        return {"quantization_config": config, "device_map": {"": str(device)}}
    from diffusers import TorchAoConfig
    from torchao.quantization import Float8WeightOnlyConfig, Int8WeightOnlyConfig

    method: Any = (
        Int8WeightOnlyConfig(version=2) if kind == "int8" else Float8WeightOnlyConfig()
    )
    return {"quantization_config": TorchAoConfig(method)}


def is_quantised(parameter: torch.Tensor) -> bool:
    """Return whether a parameter holds codes and scales instead of numbers.

    Args:
        parameter: A parameter.

    Returns:
        True for those of torchao and bitsandbytes.
    """
    if isinstance(parameter, DTensor):
        return False
    return not parameter.is_floating_point() or is_traceable_wrapper_subclass(parameter)


def has_quantised_weights(network: nn.Module) -> bool:
    """Return whether a network has quantised weights.

    Args:
        network: The network.

    Returns:
        True if it has.
    """
    return any(is_quantised(parameter) for parameter in network.parameters())


def computing_type(layer: nn.Module) -> torch.dtype:
    """Return the number type in which a layer computes.

    Args:
        layer: A layer with a weight.

    Returns:
        Type of its weight, or of what is made of it where it holds codes.
    """
    found: Any = layer
    if found.weight.is_floating_point():
        return found.weight.dtype
    return found.compute_dtype  # of bitsandbytes


def parameter_shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a network's parameters by name.

    Args:
        network: The network.

    Returns:
        Shapes; of quantised weights those of what they stand for, however their codes
        are packed.
    """
    shapes = {name: tuple(p.shape) for name, p in network.named_parameters()}
    for path, layer in network.named_modules():
        name = f"{path}.weight" if path else "weight"
        if isinstance(layer, nn.Linear) and name in shapes:
            shapes[name] = layer.out_features, layer.in_features
    return shapes


def dequantise(network: nn.Module) -> nn.Module:
    """Replace quantised weights by the numbers they stand for.

    Args:
        network: The network as diffusers loaded it; changed in place.

    Returns:
        The network.
    """
    if has_quantised_weights(network):
        loaded: Any = network
        loaded.dequantize()
    return network
