"""Do bands move as a model learns? Probes of checkpoints of one training run.

Training goes on from a checkpoint by plain flow matching on golden synthetic clips
(Adam, uniform sigma, one fixed seed; clips that the probe does not use); the probe is
repeated on each checkpoint with the same clips and noise. A checkpoint's maturity is
its golden signal-to-noise per level: it falls as the model converges.

    python analyses/maturity.py --ckpt tiny --work DIR
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from tqd_probe.api import probe
from tqd_probe.clips.source import open_clips
from tqd_probe.files import write_json
from tqd_probe.models.base import Conditioned, per_clip_loss
from tqd_probe.models.encode import ClipEncoder, default_cache, encode_clips
from tqd_probe.models.load import checkpoint_path, load_model
from tqd_probe.models.native import clip_shape
from tqd_probe.results import derive_schedule
from tqd_probe.rng import normal, stream
from tqd_probe.settings import RunSettings

RESULTS = Path(__file__).parent / "results" / "maturity.json"
TRAINING_SEED, TRAINING_CLIPS = 1000, 96


def train_on(source: str, steps: int, batch: int, rate: float, work: Path) -> Path:
    """Train a checkpoint for some steps more; keep the result as a checkpoint."""
    target = work / f"ckpt-{steps}"
    if (target / "done").exists():
        return target
    model = load_model(source, "cpu", "fp32")
    settings = RunSettings(ckpt=source)
    encoder = ClipEncoder(
        model, clip_shape(settings, model), TRAINING_SEED, default_cache()
    )
    clips = open_clips(f"synthetic:{TRAINING_CLIPS}", None, TRAINING_SEED).golden
    encoded = encode_clips(encoder, clips, (), max_bad=0)
    network = model.network.train()
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.0)
    for step in tqdm(range(steps), desc=f"train {steps}"):
        rng = stream(TRAINING_SEED, "maturity", step)
        rows = torch.from_numpy(rng.integers(0, len(clips), batch))
        sigma = torch.from_numpy((rng.random() + np.arange(batch)) / batch % 1).float()
        some = Conditioned(
            encoded.latents["golden"][rows],
            {name: value[rows] for name, value in encoded.conditioning.items()},
        )
        eps = normal(tuple(some.latents.shape), TRAINING_SEED, "maturity noise", step)
        loss = per_clip_loss(model, some, eps, sigma).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    shutil.copytree(checkpoint_path(source), target, dirs_exist_ok=True)
    model.network.eval().save_pretrained(target / "transformer")
    (target / "done").write_text("")
    return target


def main() -> None:
    """Train, probe each checkpoint, compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ckpt", default="tiny")
    parser.add_argument(
        "--steps", default="0,100,400", help="steps after the checkpoint"
    )
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--levels", default="5")
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--degradations", default="blur:3,noise:3,freeze:5")
    parser.add_argument("--work", type=Path, required=True, help="folder; resumes")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for steps in (int(part) for part in args.steps.split(",")):
        source = (
            train_on(args.ckpt, steps, args.batch, args.rate, args.work)
            if steps
            else args.ckpt
        )
        settings = RunSettings(
            ckpt=str(source),
            num_clips=args.clips,
            draws=args.draws,
            levels=args.levels,
            degradations=args.degradations,
            out=args.work / f"run-{steps}",
        )
        result = probe(settings)
        schedule = derive_schedule(result)
        details = schedule.degradations_detail
        rows.append(
            {
                "steps": steps,
                "snr": result["golden"]["snr"],
                "loss": result["golden"]["loss"],
                "resolved": result["golden"]["resolved"],
                "cosine": {name: entry.cosine for name, entry in details.items()},
                "cosine_ci": {name: entry.cosine_ci for name, entry in details.items()},
                "bands": {name: entry.bands for name, entry in details.items()},
            }
        )
        print(steps, "snr", result["golden"]["snr"], "bands", rows[-1]["bands"])
    write_json(
        args.out,
        {
            "command": f"python analyses/maturity.py --ckpt {args.ckpt} --steps"
            f" {args.steps} --levels {args.levels} --clips {args.clips} --draws"
            f" {args.draws} --degradations {args.degradations} --work DIR",
            "levels": result["noise"]["levels"],
            "rows": rows,
        },
    )
    print(args.out)


if __name__ == "__main__":
    main()
