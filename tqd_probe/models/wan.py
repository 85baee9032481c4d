"""Wan 2.1 text-to-video: flow matching, velocity prediction (arXiv 2503.20314).

The pipeline's own code encodes captions and generates; noise is added by
`tqd_probe.noise`, never by the checkpoint's scheduler.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLWan, WanPipeline, WanTransformer3DModel
from transformers import AutoTokenizer, UMT5EncoderModel

from tqd_probe.clips.shape import ClipShape
from tqd_probe.errors import InputError
from tqd_probe.files import digest, file_digest, read_json
from tqd_probe.models.base import Conditioned
from tqd_probe.models.native import native_shape
from tqd_probe.models.weights import fingerprint, load_component, read_config
from tqd_probe.noise import flow_corrupt, flow_target

MAX_SEQUENCE_LENGTH = 512  # default of WanPipeline.__call__
DEFAULT_SHAPE = ClipShape(frames=81, height=480, width=832, fps=16)
COMPONENTS: dict[str, str | None] = {
    "transformer": "WanTransformer3DModel",
    "vae": "AutoencoderKLWan",
    "text_encoder": "UMT5EncoderModel",
    "tokenizer": None,
}


class WanModel:
    """Adapter of a `WanPipeline` directory; implements `VideoModel`."""

    family = "wan"
    prediction = "flow_velocity"

    def __init__(
        self,
        path: Path,
        index: dict[str, Any],
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        """Check the checkpoint's files; loads no weights yet.

        Args:
            path: Pipeline directory.
            index: Content of its `model_index.json`.
            device: Where the network runs.
            dtype: Type of the network; what Wan keeps in float32 stays so.

        Raises:
            InputError: If a component is missing or damaged, or the checkpoint is of
                a Wan variant that this adapter does not serve.
        """
        for name, class_name in COMPONENTS.items():
            entry = index.get(name)
            if not (isinstance(entry, list) and len(entry) == 2):
                raise InputError(
                    f"{path / 'model_index.json'}: {name}: missing or not [library,"
                    " class]; copy the whole checkpoint"
                )
            if class_name is not None:
                read_config(path / name, class_name)
        unserved = {
            "transformer_2": "two experts (Wan 2.2 A14B)",
            "image_encoder": "image conditioning (I2V)",
        }
        for name, variant in unserved.items():
            if index.get(name) not in (None, [None, None]):
                raise InputError(
                    f"{path / 'model_index.json'}: {name}: Wan with {variant} has no"
                    " adapter yet; use a text-to-video checkpoint with one transformer"
                )
        if index.get("expand_timesteps"):
            raise InputError(
                f"{path / 'model_index.json'}: expand_timesteps: Wan 2.2 TI2V has no"
                " adapter yet; use a text-to-video checkpoint of Wan 2.1"
            )
        self.path, self.source = path, str(path)
        self.device, self.dtype = device, dtype
        self.fingerprint = fingerprint(path / "transformer")
        parts = [fingerprint(path / name) for name in ("vae", "text_encoder")]
        configs = [
            read_config(path / "vae", "AutoencoderKLWan"),
            read_config(path / "text_encoder", "UMT5EncoderModel"),
        ]
        words = sorted((path / "tokenizer").glob("*"))
        if not words:
            raise InputError(
                f"{path / 'tokenizer'}: missing or empty; copy the whole checkpoint"
            )
        tokens = [[file.name, file_digest(file)] for file in words if file.is_file()]
        self.encoder_fingerprint = "sha256:" + digest([parts, configs, tokens])
        self.native = native_shape(path, DEFAULT_SHAPE)
        self._network: torch.nn.Module | None = None
        self._encoders: Any = None

    @property
    def network(self) -> torch.nn.Module:
        """The transformer, in evaluation mode."""
        if self._network is None:
            network = load_component(
                WanTransformer3DModel, self.path / "transformer", torch_dtype=self.dtype
            )
            self._network = network.to(self.device)
        return self._network

    def bound_to(self, network: torch.nn.Module) -> WanModel:
        """Return this model with another network.

        Args:
            network: A network of the same architecture.

        Returns:
            A shallow copy that runs the given network.
        """
        other = copy.copy(self)
        other._network = network
        return other

    def _load_encoders(self) -> Any:
        if self._encoders is None:
            vae = load_component(
                AutoencoderKLWan, self.path / "vae", torch_dtype=torch.float32
            )
            text_encoder = load_component(
                UMT5EncoderModel, self.path / "text_encoder", dtype=self.dtype
            )
            try:
                tokenizer = AutoTokenizer.from_pretrained(
                    self.path / "tokenizer", local_files_only=True
                )
            except Exception as error:  # libraries raise whatever they meet
                reason = " ".join(str(error).split())[:200]
                raise InputError(
                    f"{self.path / 'tokenizer'}: cannot be loaded ({reason}); copy the"
                    " component again"
                ) from error
            pipe: Any = WanPipeline(
                tokenizer=tokenizer,
                text_encoder=text_encoder,
                vae=vae,
                scheduler=None,
                transformer=None,
            )
            self._encoders = pipe.to(self.device)
        return self._encoders

    def release_encoders(self) -> None:
        """Drop the autoencoder and the text encoder from memory."""
        self._encoders = None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def check_shape(self, shape: ClipShape) -> None:
        """Check that clips of a shape fill whole latents and whole patches.

        Args:
            shape: The wanted clip shape.

        Raises:
            InputError: If frames are not a multiple of the temporal factor plus one,
                or height or width not a multiple of one patch in pixels.
        """
        vae = read_json(self.path / "vae" / "config.json", "the autoencoder's settings")
        net = read_json(
            self.path / "transformer" / "config.json", "the transformer's settings"
        )
        time = vae.get("scale_factor_temporal", 4)
        if shape.frames % time != 1:
            raise InputError(
                f"--frames {shape.frames}: this model takes a multiple of {time} plus 1"
            )
        for name, size, patch in (
            ("height", shape.height, net["patch_size"][1]),
            ("width", shape.width, net["patch_size"][2]),
        ):
            unit = vae.get("scale_factor_spatial", 8) * patch
            if size < unit or size % unit:
                raise InputError(
                    f"--{name} {size}: this model takes multiples of {unit} pixels"
                )

    @torch.no_grad()
    def encode_video(self, video: np.ndarray) -> torch.Tensor:
        """Encode a clip: posterior mode, normalised as `WanPipeline` expects.

        Args:
            video: uint8 RGB ``[T, H, W, 3]``.

        Returns:
            float32 latents ``[C, F, h, w]`` on the CPU.
        """
        vae = self._load_encoders().vae
        pixels = torch.from_numpy(video).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
        latents = vae.encode(pixels.to(self.device)).latent_dist.mode()[0]
        mean, std = (
            torch.tensor(values, device=latents.device).view(-1, 1, 1, 1)
            for values in (vae.config.latents_mean, vae.config.latents_std)
        )
        return ((latents - mean) / std).float().cpu()

    @torch.no_grad()
    def encode_caption(self, caption: str) -> dict[str, torch.Tensor]:
        """Encode a caption with `WanPipeline.encode_prompt`.

        Args:
            caption: The caption; may be empty.

        Returns:
            ``{"encoder_hidden_states": [length, width]}`` on the CPU, zero after the
            last token. The length is that of the pipeline's call, or the tokenizer's
            `model_max_length` where that is smaller.
        """
        pipe = self._load_encoders()
        length = min(MAX_SEQUENCE_LENGTH, pipe.tokenizer.model_max_length)
        hidden, _ = pipe.encode_prompt(
            caption,
            do_classifier_free_guidance=False,
            max_sequence_length=length,
            device=self.device,
        )
        return {"encoder_hidden_states": hidden[0].float().cpu()}

    def encode(self, video: np.ndarray, caption: str) -> Conditioned:
        """Encode a clip and its caption.

        Args:
            video: uint8 RGB ``[T, H, W, 3]``.
            caption: The caption.

        Returns:
            Latents and conditioning of one clip.
        """
        return Conditioned(self.encode_video(video), self.encode_caption(caption))

    def corrupt(
        self, x0: torch.Tensor, eps: torch.Tensor, sigma: torch.Tensor
    ) -> torch.Tensor:
        """Return ``(1 - sigma) x0 + sigma eps``.

        Args:
            x0: Clean latents ``[B, C, F, h, w]``.
            eps: Standard normal noise, same shape.
            sigma: Levels ``[B]``.

        Returns:
            Noisy latents, same shape.
        """
        return flow_corrupt(x0, eps, sigma)

    def predict(
        self,
        x_t: torch.Tensor,
        sigma: torch.Tensor,
        conditioning: dict[str, torch.Tensor],
    ) -> torch.Tensor:
        """Run the transformer at the fractional timestep ``1000 sigma``.

        Args:
            x_t: Noisy latents ``[B, C, F, h, w]``.
            sigma: Levels ``[B]``.
            conditioning: Text embeddings ``[B, length, width]``.

        Returns:
            Predicted velocity, same shape as the latents.
        """
        network: Any = self.network
        # Wan keeps some parameters in float32; its matrices have the chosen type.
        dtype = network.patch_embedding.weight.dtype
        text = conditioning["encoder_hidden_states"]
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        return network(
            hidden_states=x_t.to(dtype),
            timestep=(1000 * sigma).to(wide),
            encoder_hidden_states=text.to(dtype),
            return_dict=False,
        )[0]

    def target(
        self, x0: torch.Tensor, eps: torch.Tensor, sigma: torch.Tensor
    ) -> torch.Tensor:
        """Return the velocity ``eps - x0``.

        Args:
            x0: Clean latents ``[B, ...]``.
            eps: Standard normal noise, same shape.
            sigma: Levels ``[B]``; the velocity does not depend on them.

        Returns:
            The training target, same shape.
        """
        return flow_target(x0, eps)

    def modules(self) -> dict[str, list[str]]:
        """Return the transformer's parameter names by module group.

        Returns:
            Groups ``embedding``, ``blockNN.PART`` and ``head`` in network order.
        """
        groups: dict[str, list[str]] = {}
        for name, _ in self.network.named_parameters():
            groups.setdefault(_group(name), []).append(name)
        return {name: groups[name] for name in sorted(groups, key=_group_order)}

    def sample(
        self,
        prompts: list[str],
        *,
        seed: int,
        steps: int,
        guidance: float,
        shape: ClipShape | None = None,
    ) -> np.ndarray:
        """Generate clips with the checkpoint's pipeline and its own scheduler.

        Args:
            prompts: One caption per clip.
            seed: Seed of the initial noise.
            steps: Scheduler steps.
            guidance: Classifier-free guidance scale; 1 turns it off.
            shape: Frames and pixels; the native shape by default.

        Returns:
            uint8 RGB ``[clips, T, H, W, 3]``.
        """
        shape = shape or self.native
        pipe: Any = WanPipeline.from_pretrained(
            self.path, transformer=self.network, local_files_only=True
        )
        pipe.to(self.device)
        pipe.set_progress_bar_config(disable=True)
        frames = pipe(
            prompt=prompts,
            height=shape.height,
            width=shape.width,
            num_frames=shape.frames,
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=torch.Generator().manual_seed(seed),
            output_type="np",
        ).frames
        return np.round(np.clip(frames, 0, 1) * 255).astype(np.uint8)


def _group(name: str) -> str:
    """Name the module group of one transformer parameter."""
    if not name.startswith("blocks."):
        head = name.startswith("proj_out.") or name == "scale_shift_table"
        if head:
            return "head"
        return "modulation" if ".time_proj." in name else "embedding"
    _, block, rest = name.split(".", 2)
    parts = {
        "attn1": "self_attention",
        "attn2": "cross_attention",
        "norm2": "cross_attention",
        "ffn": "feed_forward",
        "scale_shift_table": "modulation",
    }
    return f"block{int(block):02d}.{parts[rest.split('.')[0]]}"


def _group_order(group: str) -> tuple[int, str]:
    """Sort groups from the input of the network to its output."""
    return ({"embedding": 0, "modulation": 1, "head": 3}.get(group, 2), group)
