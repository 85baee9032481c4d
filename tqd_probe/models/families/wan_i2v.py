"""Wan image-to-video: the network is conditioned on the clip's first frame.

Wan 2.1 I2V takes the encoded first frame, concatenated to the noisy latents, and its
CLIP features. Both experts of Wan 2.2 I2V-A14B take the encoded frame alone. TI2V-5B
has the clean first latent frame in place of the noisy one, at timestep 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from diffusers import WanImageToVideoPipeline
from PIL import Image
from transformers import AutoImageProcessor, CLIPVisionModel

from tqd_probe.clips.shape import ClipShape
from tqd_probe.core.errors import InputError
from tqd_probe.models.families.wan import WanModel
from tqd_probe.models.pipeline import network_dtype


class WanImageModel(WanModel):
    """Adapter of a `WanImageToVideoPipeline` directory; implements `VideoModel`."""

    family = "wan_i2v"
    pipeline_class = WanImageToVideoPipeline
    takes_images = True
    lora_targets = (
        r"blocks\.\d+\.attn[12]\.(to_q|to_k|to_v|to_out\.0|add_k_proj|add_v_proj)"
    )

    def _choose_network(self) -> str:
        """Add the image encoder where the checkpoint has one."""
        if self.index.get("image_encoder") not in (None, [None, None]):
            self.encoders = {**type(self).encoders, "image_encoder": CLIPVisionModel}
            self.tokenizers = ("tokenizer", "image_processor")
        return super()._choose_network()

    def check_variant(self) -> None:
        """Refuse a network that needs image features without an image encoder.

        Raises:
            InputError: If `image_encoder` is missing and the network needs it.
        """
        wanted = self.configs[self.network_name].get("image_dim") is not None
        if wanted and "image_encoder" not in self.encoders:
            raise InputError(
                f"{self.path / 'model_index.json'}: image_encoder: missing, and the"
                " network takes image features; copy the whole checkpoint"
            )

    @property
    def _replaces_frame(self) -> bool:
        """Whether the clean first latent frame replaces the noisy one (TI2V)."""
        return bool(self.index.get("expand_timesteps"))

    def _load_tokenizer(self, name: str) -> Any:
        """Load a tokenizer, or the processor of images."""
        if name != "image_processor":
            return super()._load_tokenizer(name)
        try:
            return AutoImageProcessor.from_pretrained(
                self.path / name, local_files_only=True
            )
        except Exception as error:  # libraries raise many types
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"{self.path / name}: cannot be loaded ({reason}); copy the component"
                " again"
            ) from error

    @torch.no_grad()
    def encode_images(self, video: np.ndarray) -> dict[str, torch.Tensor]:
        """Encode the first frame with the pipeline's own code.

        Args:
            video: uint8 RGB ``[T, H, W, 3]``.

        Returns:
            ``condition``: output of `prepare_latents` ``[4 + C, F, h, w]``, or the
            clean first latent frame ``[C, 1, h, w]`` for TI2V. For networks with image
            tokens also ``encoder_hidden_states_image [tokens, width]``.
        """
        pipe = self.load_encoders()
        image = Image.fromarray(video[0])
        frames, height, width, _ = video.shape
        pipe.register_to_config(expand_timesteps=self._replaces_frame)
        pixels = pipe.video_processor.preprocess(image, height=height, width=width)
        found = pipe.prepare_latents(
            pixels.to(self.device, torch.float32),
            batch_size=1,
            height=height,
            width=width,
            num_frames=frames,
            dtype=torch.float32,
            device=self.device,
            latents=torch.zeros(1),
        )
        out = {"condition": found[1][0].float().cpu()}
        if "image_encoder" in self.encoders:
            features = pipe.encode_image(image, self.device)
            out["encoder_hidden_states_image"] = features[0].float().cpu()
        return out

    def target(
        self, x0: torch.Tensor, eps: torch.Tensor, sigma: torch.Tensor
    ) -> torch.Tensor:
        """Return the velocity ``eps - x0``; zero in a given first frame (TI2V).

        Args:
            x0: Clean latents ``[B, C, F, h, w]``.
            eps: Standard normal noise, same shape.
            sigma: Levels ``[B]``.

        Returns:
            The training target, same shape.
        """
        return self._without_frame(super().target(x0, eps, sigma))

    def _without_frame(self, value: torch.Tensor) -> torch.Tensor:
        """Set the first latent frame to zero where it is not predicted (TI2V)."""
        if not self._replaces_frame:
            return value
        return torch.cat([torch.zeros_like(value[:, :, :1]), value[:, :, 1:]], dim=2)

    def predict(
        self,
        x_t: torch.Tensor,
        sigma: torch.Tensor,
        conditioning: dict[str, torch.Tensor],
    ) -> torch.Tensor:
        """Run the transformer as `WanImageToVideoPipeline` does.

        Args:
            x_t: Noisy latents ``[B, C, F, h, w]``.
            sigma: Levels ``[B]``.
            conditioning: Text embeddings and the output of `encode_images`, batched.

        Returns:
            Predicted velocity, same shape as the latents; zero in a given first frame.
        """
        network: Any = self.network
        dtype = network_dtype(network, "patch_embedding")
        x_t, condition = x_t.to(dtype), conditioning["condition"].to(dtype)
        steps = self.timesteps(x_t, sigma)
        if self._replaces_frame:
            x_t = torch.cat([condition[:, :, :1], x_t[:, :, 1:]], dim=2)
            given = steps.shape[1] // (x_t.shape[2] // self.patch()[0])
            steps = torch.cat([torch.zeros_like(steps[:, :given]), steps[:, given:]], 1)
        else:
            x_t = torch.cat([x_t, condition], dim=1)
        image = conditioning.get("encoder_hidden_states_image")
        found = network(
            hidden_states=x_t,
            timestep=steps,
            encoder_hidden_states=conditioning["encoder_hidden_states"].to(dtype),
            encoder_hidden_states_image=None if image is None else image.to(dtype),
            return_dict=False,
        )[0]
        return self._without_frame(found)

    def sample(
        self,
        prompts: list[str],
        *,
        seed: int,
        steps: int,
        guidance: float,
        shape: ClipShape | None = None,
        images: np.ndarray | None = None,
    ) -> np.ndarray:
        """Generate clips from first frames, one after the other.

        Args:
            prompts: One caption per clip.
            seed: Seed of the initial noise.
            steps: Scheduler steps.
            guidance: Classifier-free guidance scale.
            shape: Frames and pixels; the native shape by default.
            images: First frames, uint8 ``[clips, H, W, 3]``.

        Returns:
            uint8 RGB ``[clips, T, H, W, 3]``.

        Raises:
            InputError: If there is not one image per prompt.
        """
        if images is None or len(images) != len(prompts):
            raise InputError(
                f"{self.source}: image-to-video, needs an image per prompt"
            )
        calls = [
            {"prompt": prompt, "image": Image.fromarray(image)}
            for prompt, image in zip(prompts, images)
        ]
        return self.generate(calls, seed, steps, guidance, shape or self.native)
