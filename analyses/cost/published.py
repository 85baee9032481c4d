"""Networks of published checkpoints: real configurations, random weights, one pass.

No weights are downloaded. Configurations are those of the checkpoints' ``config.json``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import diffusers
import torch
from torch import Tensor

from analyses.cost import models
from analyses.cost.meta_counts import as_loaded

SMALL = {"num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30}
TI2V = {
    "num_attention_heads": 24,
    "ffn_dim": 14336,
    "num_layers": 30,
    "in_channels": 48,
    "out_channels": 48,
}
I2V = {"in_channels": 36, "image_dim": 1280, "added_kv_proj_dim": 5120}
COG5B = {
    "num_attention_heads": 48,
    "num_layers": 42,
    "use_rotary_positional_embeddings": True,
}


@dataclass(frozen=True)
class Published:
    """A published network and the clip it was made for.

    Attributes:
        kind: Its class, without ``Transformer3DModel``.
        changes: What differs from the class's defaults.
        clip: Native frames, height and width.
        compression: Of the autoencoder, in time and in space.
        text: Text tokens of one clip.
        dtype: The number type that ``--dtype auto`` chooses on a GPU.
    """

    kind: str
    changes: dict[str, Any] = field(default_factory=dict)
    clip: tuple[int, int, int] = (81, 480, 832)
    compression: tuple[int, int] = (4, 8)
    text: int = 512
    dtype: torch.dtype = torch.bfloat16

    def network(self, device: str, **changes: Any) -> Any:
        """Build the network with random weights, as it is after loading.

        Args:
            device: Torch device; on ``meta`` it takes no memory.
            **changes: What else differs, such as ``num_layers``.

        Returns:
            The network.
        """
        kind = getattr(diffusers, f"{self.kind}Transformer3DModel")
        kept = torch.get_default_dtype()
        torch.manual_seed(0)
        # Weights are drawn in their own type: 14B in float32 would take 57 GB.
        torch.set_default_dtype(self.dtype)
        try:
            with torch.device(device):
                network = kind(**{**self.changes, **changes}).eval()
        finally:
            torch.set_default_dtype(kept)
        wide = network._keep_in_fp32_modules or ()
        for name, parameter in network.named_parameters():
            if any(part in name.split(".") for part in wide):
                parameter.data = parameter.data.float()
        return as_loaded(network, self.dtype)

    def latent(self, frames: int = 0) -> tuple[int, int, int]:
        """Return frames, height and width of the latents of a clip.

        Args:
            frames: Frames of the clip; 0 for the native number.

        Returns:
            The three numbers.
        """
        time, space = self.compression
        count = ((frames or self.clip[0]) - 1) // time + 1
        return count, self.clip[1] // space, self.clip[2] // space


class PublishedTask(models.Task):
    """Clips for a published network, and the network's losses on them."""

    def __init__(
        self,
        model: Published,
        network: Any,
        clips: int,
        latent: tuple[int, int, int] | None = None,
        text: int = 0,
    ) -> None:
        """Draw the clips on the network's device.

        Args:
            model: What the network is.
            network: The network.
            clips: Number of clips.
            latent: Frames, height and width of the latents; by default the native ones.
            text: Text tokens; 0 for the model's.
        """
        self.network, self.clips = network, clips
        self.device = next(network.parameters()).device
        self.dtype, self.long = model.dtype, text or model.text
        self.size = latent or model.latent()
        self.inputs = INPUTS[model.kind](self)
        shape = self.x.shape[1:]
        if model.kind == "Wan":  # image to video reads more channels than it gives
            shape = network.config.out_channels, *shape[1:]
        self.target = self.draw(*shape)

    def draw(self, *shape: int, wide: bool = False) -> Tensor:
        """Draw normal numbers ``[clips, *shape]``."""
        kind = torch.float32 if wide else self.dtype
        return torch.randn(self.clips, *shape, dtype=kind, device=self.device)

    def losses(self) -> Tensor:
        """Return the clips' losses."""
        found = self.network(self.x, return_dict=False, **self.inputs)[0]
        return (found - self.target).float().square().flatten(1).mean(1)


def _wan(task: PublishedTask) -> dict[str, Any]:
    """Inputs of Wan: latents, text, and image features where it takes them."""
    config = task.network.config
    task.x = task.draw(config.in_channels, *task.size)
    steps = task.draw(wide=True)
    if config.in_channels == 48:  # a level per token: Wan 2.2 TI2V
        frames, height, width = task.size
        steps = task.draw(frames * (height // 2) * (width // 2), wide=True)
    inputs = {"timestep": steps, "encoder_hidden_states": _text(task, config.text_dim)}
    if config.image_dim:
        inputs["encoder_hidden_states_image"] = task.draw(257, config.image_dim)
    return inputs


def _cogvideox(task: PublishedTask) -> dict[str, Any]:
    """Inputs of CogVideoX: frames stand before channels; rotary in the larger one."""
    config = task.network.config
    frames, height, width = task.size
    task.x = task.draw(frames, config.in_channels, height, width)
    inputs = {
        "timestep": task.draw(wide=True),
        "encoder_hidden_states": _text(task, config.text_embed_dim),
    }
    if config.use_rotary_positional_embeddings:
        tokens = frames * (height // 2) * (width // 2)
        shape = tokens, config.attention_head_dim
        angles = torch.zeros(*shape, device=task.device)
        inputs["image_rotary_emb"] = (angles.cos(), angles.sin())
    return inputs


def _ltx(task: PublishedTask) -> dict[str, Any]:
    """Inputs of LTX: a row per token, and a mask of the text."""
    config = task.network.config
    frames, height, width = task.size
    task.x = task.draw(frames * height * width, config.in_channels)
    mask = torch.ones(task.clips, task.long, device=task.device)
    return {
        "timestep": task.draw(wide=True),
        "encoder_hidden_states": _text(task, config.caption_channels),
        "encoder_attention_mask": mask,
        "num_frames": frames,
        "height": height,
        "width": width,
        "rope_interpolation_scale": (8 / 25, 32, 32),
    }


def _hunyuan_video(task: PublishedTask) -> dict[str, Any]:
    """Inputs of HunyuanVideo: two texts, a mask, guidance."""
    config = task.network.config
    task.x = task.draw(config.in_channels, *task.size)
    return {
        "timestep": task.draw(wide=True),
        "encoder_hidden_states": _text(task, config.text_embed_dim),
        "encoder_attention_mask": torch.ones(
            task.clips, task.long, dtype=task.dtype, device=task.device
        ),
        "pooled_projections": task.draw(config.pooled_projection_dim),
        "guidance": task.draw(wide=True),
    }


def _text(task: PublishedTask, width: int) -> Tensor:
    """Text embeddings ``[B, tokens, width]``."""
    return task.draw(task.long, width)


INPUTS: dict[str, Callable[[PublishedTask], dict[str, Any]]] = {
    "Wan": _wan,
    "CogVideoX": _cogvideox,
    "LTXVideo": _ltx,
    "HunyuanVideo": _hunyuan_video,
}
PUBLISHED = {
    "Wan 2.1 T2V 1.3B": Published("Wan", SMALL),
    "Wan 2.1 T2V 14B": Published("Wan"),
    "Wan 2.1 I2V 14B": Published("Wan", I2V),
    "Wan 2.2 TI2V 5B": Published("Wan", TI2V, (121, 704, 1280), (4, 16)),
    "CogVideoX 2B": Published(
        "CogVideoX", {}, (49, 480, 720), text=226, dtype=torch.float32
    ),
    "CogVideoX 5B": Published("CogVideoX", COG5B, (49, 480, 720), text=226),
    "LTX-Video 2B": Published("LTXVideo", {}, (161, 512, 704), (8, 32), 128),
    "HunyuanVideo": Published("HunyuanVideo", {}, (129, 720, 1280), text=256),
}
