"""What the trainings of tiny models share: clips, latents, rates, steps, files."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from tqdm import tqdm

from tqd_probe.clips import synthetic
from tqd_probe.clips.shape import ClipShape

SHAPE = ClipShape(frames=17, height=64, width=64, fps=16)
HELD_OUT_SEED = 2000
LATENT_SCALE = 0.9  # deviation of the normalised latents, over all channels
LEVELS = [round(0.05 + 0.1 * i, 2) for i in range(10)]
Render = Callable[[int, int, ClipShape], tuple[str, np.ndarray]]


def to_model(video: np.ndarray) -> torch.Tensor:
    """Bring uint8 ``[T, H, W, 3]`` to float ``[3, T, H, W]`` in [-1, 1]."""
    return torch.from_numpy(video).permute(3, 0, 1, 2).float() / 127.5 - 1


def trapezoid(step: int, zero: int, warm: int, decay: int) -> float:
    """Return the learning-rate factor: linear warm-up, constant, linear to zero.

    At a constant rate the weights walk about, and the gradient of any clip is largely
    the way back; the decay leaves what the data themselves ask for.
    """
    return min(1, (step + 1) / warm) * min(1, (zero - step) / decay)


def cosine(step: int, steps: int, warm: int, floor: float) -> float:
    """Return the learning-rate factor: linear warm-up, then half a cosine."""
    if step < warm:
        return (step + 1) / warm
    done = (step - warm) / max(1, steps - warm)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * done))


def load_videos(seed: int, count: int) -> torch.Tensor:
    """Render the golden clips of a seed; uint8 ``[count, T, H, W, 3]``."""
    clips = (synthetic.synthetic_clip(i, seed) for i in range(count))
    return torch.from_numpy(np.stack([clip.read(SHAPE) for clip in clips]))


def descend(optimizer: torch.optim.Optimizer, loss: torch.Tensor, rate: float) -> None:
    """Take one step at a learning rate, gradients clipped to norm 1."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad()
    loss.backward()
    some = [p for group in optimizer.param_groups for p in group["params"]]
    torch.nn.utils.clip_grad_norm_(some, 1.0)
    optimizer.step()


def golden_clip(index: int, seed: int, shape: ClipShape) -> tuple[str, np.ndarray]:
    """Render a golden clip; returns its caption and its video."""
    clip = synthetic.synthetic_clip(index, seed)
    return clip.caption, clip.read(shape)


@torch.no_grad()
def encode_set(
    path: Path, vae: AutoencoderKLWan, seed: int, count: int, render: Render
) -> tuple[torch.Tensor, list[str]]:
    """Encode the clips of a seed; returns latents and captions."""
    if path.exists():
        state = torch.load(path, weights_only=True)
        return state["latents"], state["captions"]
    latents, captions = [], []
    for first in tqdm(range(0, count, 8), desc=path.stem):
        clips = [render(first + i, seed, SHAPE) for i in range(8)]
        x = torch.stack([to_model(video) for _, video in clips])
        latents.append(vae.encode(x).latent_dist.mode())
        captions += [caption for caption, _ in clips]
    result = torch.cat(latents)[:count]
    torch.save({"latents": result, "captions": captions[:count]}, path)
    return result, captions[:count]


def every_50(curve: list[list[float]], digits: int) -> list[float]:
    """Average a curve of ``[step, value]`` over stretches of 50 steps."""
    means = [
        np.mean([v for _, v in curve[i : i + 50]]) for i in range(0, len(curve), 50)
    ]
    return [round(float(mean), digits) for mean in means]
