"""Memory of the activations of a forward and backward pass, by calculation."""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import nn

from tqd_probe.core.errors import InputError
from tqd_probe.core.memory import free_bytes
from tqd_probe.models.base import Conditioned, VideoModel
from tqd_probe.models.placement import computing_device
from tqd_probe.models.quantisation import computing_type

SAFE_SHARE = (
    0.7  # of the free memory; the rest is for temporary buffers and fragmentation
)
log = logging.getLogger("tqd_probe")


def activation_bytes(
    network: nn.Module,
    tokens: int,
    text_tokens: int,
    checkpointing: bool = False,
    level_per_token: bool = False,
) -> int:
    """Estimate the activations that are kept for the backward pass of one clip.

    Every linear layer keeps its input; its output is kept by what follows it (norm,
    activation, attention). Norms and modulation work on float32 copies of the
    residual stream. With gradient checkpointing the residual stream at the entrance of
    every block and the insides of one block remain. At real size that is within 15 % of
    what is counted (`analyses/cost/memory_table.py`).

    Args:
        network: The network; may be on the meta device.
        tokens: Video tokens of the clip.
        text_tokens: Text tokens of the clip.
        checkpointing: Whether blocks are computed again in the backward pass.
        level_per_token: Whether every token has a noise level, and so a modulation of
            its own (Wan 2.2 TI2V).

    Returns:
        Bytes for one clip, weights and gradients not included.
    """
    stacks = [m for m in network.modules() if isinstance(m, nn.ModuleList)]
    blocks = [b for stack in stacks for b in stack if _has_attention(b)]
    sizes = [_block_bytes(block, tokens, text_tokens) for block in blocks]
    if level_per_token:  # float32: scales, shifts and gates, and what they multiply
        sizes = [
            size + 10 * tokens * _queries(block).in_features * 4
            for block, size in zip(blocks, sizes)
        ]
    if not checkpointing:
        return sum(sizes)
    queries = max((_queries(block) for block in blocks), key=lambda q: q.in_features)
    width, itemsize = queries.in_features, computing_type(queries).itemsize
    entrance = (tokens + text_tokens) * width * itemsize
    shared = 6 * tokens * width * 4 if level_per_token else 0
    return len(blocks) * entrance + max(sizes) + shared


def _has_attention(block: nn.Module) -> bool:
    """Return whether a module is a transformer block."""
    return any(name.startswith("attn") for name, _ in block.named_children())


def _queries(block: nn.Module) -> nn.Linear:
    """What makes the queries: its width and type are those of the residual stream."""
    return next(
        m
        for n, m in block.named_modules()
        if n.removesuffix(".base_layer").endswith("to_q") and isinstance(m, nn.Linear)
    )


def _block_bytes(block: nn.Module, tokens: int, text_tokens: int) -> int:
    """Bytes that one block keeps for one clip."""
    joint = not any(n.startswith("attn2") for n, _ in block.named_children())
    total, width = 0, _queries(block).in_features
    for name, layer in block.named_modules():
        if not isinstance(layer, nn.Linear) or ".lora_" in name:
            continue
        name = name.removesuffix(".base_layer")  # where a LoRA sits on it
        of_text = "add_" in name or "context" in name
        rows = text_tokens if of_text or _reads_text(name, joint) else tokens
        if "norm" in name.split(".")[0] and ".linear" in f".{name}":
            rows = 1  # modulation: one row per clip
        features = layer.in_features + layer.out_features
        total += rows * features * computing_type(layer).itemsize
    stream = tokens + (text_tokens if joint else 0)
    return total + 4 * stream * width * 4  # float32: norms, scales, shifts, residuals


def _reads_text(name: str, joint: bool) -> bool:
    """Return whether a projection of cross-attention reads the text."""
    return not joint and name.startswith("attn2") and name.endswith(("to_k", "to_v"))


def count_tokens(model: VideoModel, latents: torch.Tensor) -> int:
    """Count the video tokens of one clip.

    Args:
        model: The model.
        latents: Latents of one clip.

    Returns:
        Latent places over all frames, divided by the size of a patch.
    """
    net: Any = model.network.config
    size = net.get("patch_size", 1)
    volume = int(net.get("patch_size_t") or 1) * (size if isinstance(size, int) else 1)
    volume *= size if isinstance(size, int) else 1
    if not isinstance(size, int):
        volume = int(torch.tensor(size).prod())
    channels = net.get("out_channels") or net["in_channels"]
    return latents.numel() // int(channels) // volume


def set_checkpointing(
    model: VideoModel, mode: str, clip: Conditioned, batch_size: int
) -> bool:
    """Turn gradient checkpointing on where it is asked for or needed.

    Args:
        model: The model.
        mode: ``on``, ``off``, or ``auto``: on when the activations of a batch would
            take more than a safe share of the free memory.
        clip: An encoded clip, as a batch of one.
        batch_size: Clips per pass.

    Returns:
        Whether it is on.

    Raises:
        InputError: If it is asked for and the network cannot do it.
    """
    network: Any = model.network
    text = clip.conditioning["encoder_hidden_states"].shape[1]
    tokens = count_tokens(model, clip.latents[0])
    each = bool(getattr(model, "index", {}).get("expand_timesteps"))
    wanted = batch_size * activation_bytes(network, tokens, text, level_per_token=each)
    free = free_bytes(computing_device(network))
    on = mode == "on" or (mode == "auto" and wanted > SAFE_SHARE * free)
    if on and not getattr(network, "_supports_gradient_checkpointing", False):
        raise InputError(
            f"--checkpointing {mode}: {type(network).__name__} cannot; use off"
        )
    if on:
        network.enable_gradient_checkpointing()
    elif hasattr(network, "disable_gradient_checkpointing"):
        network.disable_gradient_checkpointing()
    log.info(
        "activations of %d clips of %d tokens: about %.2f GB of %.2f GB free; gradient"
        " checkpointing %s",
        batch_size,
        tokens,
        wanted / 1e9,
        free / 1e9,
        "on" if on else "off",
    )
    return on
