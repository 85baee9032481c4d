"""Generate clips with a checkpoint's own pipeline and scheduler."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from tqd_probe.clips.shape import ClipShape
from tqd_probe.core.errors import InputError


class Generation:
    """The part of an adapter that generates clips."""

    pipeline_class: ClassVar[Any]
    path: Path
    source: str
    device: torch.device
    dtype: torch.dtype
    native: ClipShape
    network_name: str
    network: Any
    batched: ClassVar[bool] = True  # whether the pipeline takes several prompts

    def call_arguments(self, shape: ClipShape, guidance: float) -> dict[str, Any]:
        """Return the arguments of the pipeline's call besides prompts, steps and seed.

        Args:
            shape: Frames and pixels.
            guidance: Guidance scale.

        Returns:
            Keyword arguments.
        """
        return {
            "height": shape.height,
            "width": shape.width,
            "num_frames": shape.frames,
            "guidance_scale": guidance,
        }

    def full_pipeline(self, guidance: float) -> Any:
        """Load the checkpoint's pipeline with this model's network in it.

        Args:
            guidance: Guidance scale, for pipelines that store it.

        Returns:
            The pipeline, on the device.
        """
        pipe: Any = self.pipeline_class.from_pretrained(
            self.path,
            local_files_only=True,
            dtype={"default": self.dtype, "vae": torch.float32},
            **{self.network_name: self.network},
        )
        pipe.to(self.device)
        pipe.set_progress_bar_config(disable=True)
        return pipe

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
        """Generate clips with the checkpoint's pipeline and its own scheduler.

        Args:
            prompts: One caption per clip.
            seed: Seed of the initial noise.
            steps: Scheduler steps.
            guidance: Guidance scale, as defined by the family's pipeline.
            shape: Frames and pixels; the native shape by default.
            images: First frames, uint8 ``[clips, H, W, 3]``, for image-to-video.

        Returns:
            uint8 RGB ``[clips, T, H, W, 3]``.

        Raises:
            InputError: If images are given to a text-to-video model.
        """
        if images is not None:
            raise InputError(f"{self.source}: text-to-video, takes no images")
        calls: list[dict[str, Any]] = [{"prompt": prompts}]
        if not self.batched:
            calls = [{"prompt": prompt} for prompt in prompts]
        return self.generate(calls, seed, steps, guidance, shape or self.native)

    def generate(
        self,
        calls: list[dict[str, Any]],
        seed: int,
        steps: int,
        guidance: float,
        shape: ClipShape,
    ) -> np.ndarray:
        """Call the pipeline once or several times, with one noise generator.

        Args:
            calls: Prompts and other arguments that differ between calls.
            seed: Seed of the initial noise.
            steps: Scheduler steps.
            guidance: Guidance scale.
            shape: Frames and pixels.

        Returns:
            uint8 RGB ``[clips, T, H, W, 3]``.
        """
        pipe, generator = self.full_pipeline(guidance), torch.Generator()
        generator.manual_seed(seed)
        common = self.call_arguments(shape, guidance)
        frames = [
            pipe(
                **call,
                **common,
                num_inference_steps=steps,
                generator=generator,
                output_type="np",
            ).frames
            for call in calls
        ]
        video = np.clip(np.concatenate(frames), 0, 1)
        return np.round(video * 255).astype(np.uint8)
