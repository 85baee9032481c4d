"""When does a model learn motion, when detail? Training step by noise level.

At each training checkpoint of `tiny` and each noise level the model predicts held-out
golden clips in one step (`x0 = x_t - sigma v`). Prediction and truth go through the
decoder, so that what it loses counts for neither, and the error is split:

    coarse, middle, fine   by spatial frequency: below 3, 3 to 8, above 8 cycles a side
    still                  the mean over frames
    change                 differences of consecutive frames
    flow                   optical flow inside the objects against their true velocity

Each is a share of what predicting nothing would cost (the mean clip; no change; no
motion): 1 is not learned, 0 perfect.

    python -m analyses.tiny.learning_dynamics --trained WORK --work DIR
    python -m figures.learning_dynamics

WORK is the working folder of `train.py`.
"""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from scipy.stats import t as student
from tqdm import tqdm

from analyses.results_file import run_script, study_parser, write_results
from analyses.tiny.step_files import pipeline_at_step, step_file
from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.synthetic import SyntheticClip, synthetic_clip
from tqd_probe.core.errors import InputError
from tqd_probe.core.files import digest, read_json, write_json
from tqd_probe.core.library_logging import silence_libraries
from tqd_probe.core.rng import normal
from tqd_probe.models.base import Conditioned, collate
from tqd_probe.models.clip_encoder import ClipEncoder, default_cache
from tqd_probe.models.load import load_model

HELD_OUT = 8001  # seed of the clips
BANDS = {"coarse": (0, 3), "middle": (3, 8), "fine": (8, 999)}
PARTS = (*BANDS, "still", "change", "flow")
INSIDE = 0.7  # of an object's radius, where its motion is measured


def true_flow(clip: SyntheticClip, shape: ClipShape) -> tuple[np.ndarray, np.ndarray]:
    """Return the motion of a synthetic clip where it is known.

    Args:
        clip: The clip.
        shape: Its shape.

    Returns:
        Pixels per frame ``[T - 1, H, W, 2]`` (x, y), and a mask ``[T - 1, H, W]`` of
        the inside of objects.
    """
    unit = shape.short_side
    y, x = np.mgrid[: shape.height, : shape.width] + 0.5
    size = (shape.frames - 1, shape.height, shape.width)
    flow, known = np.zeros((*size, 2)), np.zeros(size, dtype=bool)
    for index, moment in enumerate(shape.times()[:-1]):
        for thing in clip.objects:  # far to near: the nearer hides the farther
            at = [(s + v * moment) * unit for s, v in zip(thing.start, thing.velocity)]
            inside = np.hypot(x - at[0], y - at[1]) < INSIDE * thing.radius * unit
            flow[index][inside] = np.array(thing.velocity) * unit / shape.fps
            known[index] |= inside
    return flow, known


def measured_flow(video: np.ndarray) -> np.ndarray:
    """Return DIS optical flow between consecutive frames ``[T - 1, H, W, 2]``.

    Args:
        video: In [0, 1], ``[T, H, W, 3]``.

    Returns:
        Pixels per frame.
    """
    engine = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grey = np.round(np.clip(video, 0, 1).mean(-1) * 255).astype(np.uint8)
    return np.stack([engine.calc(a, b, None) for a, b in itertools.pairwise(grey)])


def split_error(
    predicted: np.ndarray,
    truth: np.ndarray,
    middle: np.ndarray,
    clip: SyntheticClip,
    shape: ClipShape,
) -> dict[str, tuple[float, float]]:
    """Split the error of a clip.

    Args:
        predicted: In [0, 1], ``[T, H, W, 3]``.
        truth: The same.
        middle: Mean of the clips, the prediction that knows nothing.
        clip: Whose motion is known.
        shape: Its shape.

    Returns:
        For each part the squared error and that of knowing nothing.
    """
    height, width = shape.height, shape.width
    fy, fx = np.fft.fftfreq(height) * height, np.fft.fftfreq(width) * width
    cycles = np.hypot(fy[:, None], fx[None])
    power = [
        (np.abs(np.fft.fft2(part, axes=(1, 2))) ** 2).mean((0, 3))
        for part in (predicted - truth, truth - middle)
    ]
    found = {}
    for name, (low, high) in BANDS.items():
        ring = (cycles >= low) & (cycles < high)
        found[name] = (float(power[0][ring].sum()), float(power[1][ring].sum()))

    def pair(error: np.ndarray, nothing: np.ndarray) -> tuple[float, float]:
        return float((error**2).sum()), float((nothing**2).sum())

    found["still"] = pair(
        predicted.mean(0) - truth.mean(0), truth.mean(0) - middle.mean(0)
    )
    found["change"] = pair(np.diff(predicted - truth, axis=0), np.diff(truth, axis=0))
    flow, known = true_flow(clip, shape)
    found["flow"] = pair((measured_flow(predicted) - flow)[known], flow[known])
    return found


@torch.no_grad()
def decode(model: Any, latents: torch.Tensor) -> np.ndarray:
    """Decode normalised latents ``[N, C, F, h, w]`` to videos in about [0, 1]."""
    vae = model.load_encoders().vae
    mean, std = (
        torch.tensor(values).view(1, -1, 1, 1, 1)
        for values in (vae.config.latents_mean, vae.config.latents_std)
    )
    videos = [vae.decode(one[None] * std + mean).sample[0] for one in latents]
    return (torch.stack(videos).permute(0, 2, 3, 4, 1).numpy() + 1) / 2


@torch.no_grad()
def measure_checkpoint(
    ckpt: str, levels: list[float], count: int
) -> dict[str, list[Any]]:
    """Measure one checkpoint at every level.

    Args:
        ckpt: The checkpoint.
        levels: Noise levels.
        count: Held-out golden clips.

    Returns:
        For each part, by level, each clip's error and that of knowing nothing.
    """
    model = load_model(ckpt, "cpu")
    shape = model.native
    encoder = ClipEncoder(model, shape, 0, default_cache())
    clips = [synthetic_clip(index, HELD_OUT) for index in range(count)]
    batch = collate(
        [Conditioned(encoder.latents(c, None), encoder.caption(c)) for c in clips]
    )
    truth = decode(model, batch.latents)
    middle = truth.mean(0)
    model.network.eval()
    found: dict[str, list[Any]] = {name: [] for name in PARTS}
    for level, sigma in enumerate(levels):
        eps = normal(tuple(batch.latents.shape), HELD_OUT, "dynamics-noise", level)
        at = torch.full((count,), sigma)
        noisy = model.corrupt(batch.latents, eps, at)
        guess = noisy - sigma * model.predict(noisy, at, batch.conditioning)
        rows = [
            split_error(p, t, middle, clip, shape)
            for p, t, clip in zip(decode(model, guess), truth, clips)
        ]
        for name in PARTS:
            found[name].append([row[name] for row in rows])
    return found


def ratio(pairs: np.ndarray) -> tuple[float, list[float]]:
    """Return a ratio of sums over clips and its 95 % interval (jackknife over clips).

    Args:
        pairs: Error and error of knowing nothing ``[N, 2]``.

    Returns:
        The ratio, and low and high.
    """
    total, count = pairs.sum(0), len(pairs)
    value = float(total[0] / total[1])
    without = (total[0] - pairs[:, 0]) / (total[1] - pairs[:, 1])
    error = np.sqrt((count - 1) / count * ((without - without.mean()) ** 2).sum())
    half = float(student.ppf(0.975, count - 1) * error)
    return value, [value - half, value + half]


def half_learned(steps: list[int], values: list[float]) -> int | None:
    """Return the first step at which half of what is ever learned is learned.

    Args:
        steps: Training steps.
        values: Shares not learned, from 1 before training.

    Returns:
        The step; None if less than a tenth is ever learned.
    """
    best = min(values)
    if best > 0.9:
        return None
    return next(s for s, v in zip(steps, values) if v <= (1 + best) / 2)


def main() -> None:
    """Measure every checkpoint and write the table."""
    parser = study_parser(__file__, __doc__)
    parser.add_argument(
        "--trained", type=Path, required=True, help="--work of train.py"
    )
    parser.add_argument("--steps", default="500,1000,1500,2000,2500,3000,3500")
    parser.add_argument(
        "--levels", default="0.05,0.15,0.25,0.35,0.45,0.55,0.65,0.75,0.85,0.95"
    )
    parser.add_argument("--clips", type=int, default=48)
    parser.add_argument("--work", type=Path, required=True, help="folder; resumes")
    args = parser.parse_args()
    silence_libraries()
    began = time.time()
    levels = [float(part) for part in args.levels.split(",")]
    steps = [int(part) for part in args.steps.split(",")]
    table: dict[str, Any] = {name: {"value": [], "ci": []} for name in PARTS}
    for step in tqdm(steps, desc="checkpoints"):
        state = step_file(args.trained, step)
        if not state.is_file():
            raise InputError(f"--trained {args.trained}: holds no {state.name}")
        key = digest([state.stat().st_size, str(state), levels, args.clips])[-12:]
        path = args.work / f"dynamics-{step:05d}-{key}.json"
        if not path.exists():
            ckpt = pipeline_at_step("tiny", state, args.work / f"step-{step:05d}")
            write_json(path, measure_checkpoint(str(ckpt), levels, args.clips))
        known = read_json(path, "a measured checkpoint")
        for name in PARTS:
            rows = [ratio(np.array(level)) for level in known[name]]
            table[name]["value"].append([value for value, _ in rows])
            table[name]["ci"].append([ends for _, ends in rows])
    halves = {
        name: [
            half_learned(steps, [row[level] for row in table[name]["value"]])
            for level in range(len(levels))
        ]
        for name in PARTS
    }
    write_results(
        parser,
        args,
        {
            "seconds_of_this_call": round(time.time() - began),
            "steps": steps,
            "levels": levels,
            "clips": args.clips,
            "error_share": table,
            "half_learned_at": halves,
        },
    )
    for name, found in halves.items():
        last = [round(v, 2) for v in table[name]["value"][-1]]
        print(f"{name:8s} at the end {last}, half learned at {found}")


if __name__ == "__main__":
    run_script(main)
