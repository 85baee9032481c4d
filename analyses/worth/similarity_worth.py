"""What is gradient similarity worth? Predicted against achieved, pair by pair.

For every degradation and noise level: how similar the gradient of degraded clips is to
the golden one at the checkpoint (predicted), and what the golden held-out loss does
when the checkpoint is then trained for a short while on these degraded clips at this
level alone (achieved). Golden clips trained at the same level, same scenes, same noise,
set the scale: the share of their gain that the degraded copies bring. Their rank
correlation is the worth of similarity as a diagnostic.

Beside the cosine: the same after a short look-ahead (trained for a few of the steps),
in Adam's metric, the first-order product, and two predictors that need no gradient: the
distance the degradation moves the latents, over the noise there; and the golden loss
after the look-ahead alone.

    python -m analyses.worth.similarity_worth --start tiny --work DIR
    python -m figures.similarity_worth
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from analyses.results_file import run_script, script_parser, write_results
from analyses.worth.clip_collections import HELD_OUT, PROBE, TRAIN
from analyses.worth.correlations import cosine_of, summarise
from analyses.worth.short_training import RepeatedTraining
from analyses.worth.start_checkpoints import start_checkpoint
from tqd_probe.core.errors import InputError
from tqd_probe.core.files import digest, read_json, write_json
from tqd_probe.core.library_logging import silence_libraries
from tqd_probe.models.clip_encoder import default_cache
from tqd_probe.training.settings import TrainRunSettings


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = script_parser(__file__, __doc__)
    made.add_argument(
        "--start", default="tiny", help="tiny, half, wide-half, scratch, wide or a path"
    )
    made.add_argument(
        "--trained", type=Path, help="--work of train.py, for half and wide-half"
    )
    made.add_argument(
        "--clips", default="synthetic", help="synthetic, or a folder of golden videos"
    )
    made.add_argument(
        "--degradations",
        default="blur:2,blur:4,noise:3,downscale:4,compress:4,freeze:3,freeze:5,slow:4,"
        "hold:4,shuffle:3,jitter:3",
    )
    made.add_argument("--levels", default="0.05,0.15,0.3,0.45,0.6,0.75,0.85,0.95")
    made.add_argument("--probe-clips", type=int, default=48)
    made.add_argument("--held-out", type=int, default=48)
    made.add_argument("--train-clips", type=int, default=64, help="per seed")
    made.add_argument("--steps", type=int, default=48)
    made.add_argument(
        "--look-ahead", type=int, default=8, help="steps of the look-ahead"
    )
    made.add_argument(
        "--shares-alone",
        action="store_true",
        help="no cosine after the look-ahead; until the end, losses at the level alone:"
        " a third faster",
    )
    made.add_argument("--batch-size", type=int, default=8)
    made.add_argument("--lr", type=float, default=3e-4)
    made.add_argument("--seeds", type=int, default=5)
    made.add_argument("--work", type=Path, required=True, help="folder; resumes")
    made.add_argument("--results", type=Path, help="file to write")
    return made


def measure_similarity(
    training: RepeatedTraining, names: list[str], levels: list[float], clips: int
) -> list[dict[str, Any]]:
    """Compare gradients at the present weights, in both metrics, level by level.

    Args:
        training: The checkpoint.
        names: The degradations.
        levels: The levels.
        clips: Clips to probe with.

    Returns:
        For each degradation and level: cosines with standard errors, the first-order
        product, and the distance in the latents over the noise.
    """
    golden = training.encode(PROBE, clips, None)
    copies = {name: training.encode(PROBE, clips, name) for name in names}
    rows = []
    for sigma in tqdm(levels, desc="similarity"):
        own = training.gradients(golden, sigma, PROBE)
        scale = (own.square().mean(0).sqrt() + 1e-8).rsqrt()
        for name in names:
            other = training.gradients(copies[name], sigma, PROBE)
            moved = (copies[name].latents - golden.latents).square().flatten(1).mean(1)
            noise = sigma / (1 - sigma)
            rows.append(
                {
                    "degradation": name,
                    "sigma": sigma,
                    "raw": cosine_of(own, other),
                    "adam": cosine_of(own * scale, other * scale),
                    "latent_distance_over_noise": float(moved.mean().sqrt()) / noise,
                }
            )
    return rows


def trial(
    training: RepeatedTraining,
    name: str | None,
    sigma: float,
    number: int,
    args: argparse.Namespace,
) -> dict[str, Any]:
    """Train on one kind of clips at one level; golden losses along the way.

    Args:
        training: The checkpoint.
        name: The degradation; None trains on golden clips.
        sigma: The level.
        number: Number of the seed.
        args: The options.

    Returns:
        Losses ``[clips][levels]`` at half of the look-ahead, the look-ahead and the
        end, and the cosine at the look-ahead; None what `--shares-alone` leaves out.
    """
    seed = TRAIN + number
    clips = training.encode(seed, args.train_clips, name)
    held = training.encode(HELD_OUT, args.held_out, None)
    training.reset()

    def losses() -> list[list[float | None]]:
        if not args.shares_alone:
            return training.losses(held, args.levels, HELD_OUT).tolist()
        place = args.levels.index(sigma)
        known = training.losses(held, args.levels, HELD_OUT, only=place)[:, 0]
        rows: list[list[float | None]] = [[None] * len(args.levels) for _ in known]
        for row, value in zip(rows, known):
            row[place] = float(value)
        return rows

    half = args.look_ahead // 2
    training.train(clips, sigma, seed, 0, half)
    found: dict[str, Any] = {"early": losses()}
    training.train(clips, sigma, seed, half, args.look_ahead)
    found["look"] = losses()
    if name is not None:
        found["cosine"] = {"cosine": None}
    if name is not None and not args.shares_alone:
        few = max(6, args.probe_clips // 2)
        own = training.gradients(training.encode(PROBE, few, None), sigma, PROBE)
        other = training.gradients(training.encode(PROBE, few, name), sigma, PROBE)
        found["cosine"] = cosine_of(own, other)
    training.train(clips, sigma, seed, args.look_ahead, args.steps)
    found["end"] = training.losses(held, args.levels, HELD_OUT).tolist()
    return found


def main() -> None:
    """Probe, train every pair for every seed, correlate."""
    command = parser()
    args = command.parse_args()
    args.levels = [float(part) for part in args.levels.split(",")]
    names = args.degradations.split(",")
    if not 0 < args.look_ahead < args.steps:
        raise InputError(
            f"--look-ahead {args.look_ahead}: must lie between 0 and --steps"
        )
    if not all(0 < sigma < 1 for sigma in args.levels):
        raise InputError(f"--levels {args.levels}: must lie between 0 and 1")
    silence_libraries()
    ckpt = start_checkpoint(args.start, args.work, args.trained)
    settings = TrainRunSettings(
        ckpt=ckpt,
        clips="synthetic",
        full=True,
        steps=args.steps,
        warmup=2,
        batch_size=args.batch_size,
        lr=args.lr,
        lr_schedule="constant",
        out=args.work,
    )
    training = RepeatedTraining(settings, default_cache(), args.clips)
    elsewhere = ("work", "results", "trained", "clips", "shares_alone")
    options = {k: v for k, v in vars(args).items() if k not in elsewhere}
    known = [options | {"seeds": 0, "degradations": ""}, training.model.fingerprint]
    if args.clips != "synthetic":
        known.append(training.collections.name)
    if args.shares_alone:
        known.append("shares alone")
    key = digest(known)
    start = Path(args.start).name
    folder = args.work / f"worth-{start}-{key[-12:]}"
    began = time.time()

    def once(file: str, make: Any) -> Any:
        path = folder / file
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            write_json(path, make())
        return read_json(path, "a finished part of the study")

    predicted = once(
        f"similarity-{digest(names)[-8:]}.json",
        lambda: measure_similarity(training, names, args.levels, args.probe_clips),
    )
    held = training.encode(HELD_OUT, args.held_out, None)
    before = once(
        "before.json",
        lambda: training.losses(held, args.levels, HELD_OUT).tolist(),
    )
    trials: dict[str, list[dict[str, Any]]] = {}
    pairs = [(name, sigma) for sigma in args.levels for name in [None, *names]]
    with tqdm(total=args.seeds * len(pairs), desc="trainings") as bar:
        for number in range(args.seeds):
            for name, sigma in pairs:
                label = f"{name or 'golden'} {sigma:g}"
                file = f"{label.replace(':', '-').replace(' ', '-')}-{number}.json"
                one = once(
                    file,
                    lambda n=name, s=sigma, k=number: trial(training, n, s, k, args),
                )
                trials.setdefault(label, []).append(one)
                bar.update()
    result = {
        "seconds_of_this_call": round(time.time() - began),
        "start": start,
        "clips": training.collections.name,
        "steps": args.steps,
        "look": args.look_ahead,
        "levels": args.levels,
        **summarise(predicted, np.array(before), trials, args.levels, names),
    }
    for kind, one in result["correlations"].items():
        print(kind, one)
    name = f"similarity_worth_{start}.json"
    path = args.results or Path(__file__).parent / "results" / name
    write_results(command, args, result, path)


if __name__ == "__main__":
    run_script(main)
