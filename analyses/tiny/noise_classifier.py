"""From which noise level on can a classifier no longer tell degraded from golden?

The annotation of Ambient Diffusion Omni (Daras et al., 2025) on our clips, beside our
bands: a small network sees noisy latents and sigma and says golden or degraded; where
its accuracy on clips it has not seen falls to 1/2 + `MARGIN`, degraded clips are taken
to be as good as golden. It asks whether clips *look* alike under noise, our bands
whether they *teach* alike.

    python -m analyses.tiny.noise_classifier --run RUN_DIR
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from analyses.finished_probe import FinishedProbe
from analyses.results_file import run_script, study_parser, write_results
from tqd_probe.clips.degradations import parse_degradations
from tqd_probe.clips.source import open_clips
from tqd_probe.core.noise import flow_corrupt
from tqd_probe.core.rng import normal, stream
from tqd_probe.models.clip_encoder import ClipEncoder, default_cache, encode_clips
from tqd_probe.models.load import load_model
from tqd_probe.models.native_clip import clip_shape
from tqd_probe.probing.settings import ProbeRunSettings

MARGIN = 0.05
SEED = 2000


class Classifier(nn.Module):
    """Three convolutions over time and space, sigma as one more channel."""

    def __init__(self, channels: int, width: int = 32) -> None:
        """Make a small network.

        Args:
            channels: Channels of the latents.
            width: Channels inside.
        """
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv3d(channels + 1, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv3d(width, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv3d(width, width, 3, padding=1),
            nn.SiLU(),
        )
        self.head = nn.Linear(2 * width, 1)

    def forward(self, latents: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """Return logits of "degraded" ``[B]`` of latents ``[B, C, T, H, W]``."""
        level = sigma.reshape(-1, 1, 1, 1, 1).expand(-1, 1, *latents.shape[2:])
        found = self.body(torch.cat([latents, level], 1)).flatten(2)
        return self.head(torch.cat([found.mean(2), found.amax(2)], 1))[:, 0]


def train(
    golden: torch.Tensor, degraded: torch.Tensor, steps: int, name: str
) -> Classifier:
    """Train on pairs of golden and degraded latents ``[N, ...]``."""
    torch.manual_seed(SEED)
    network = Classifier(golden.shape[1])
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    both = torch.cat([golden, degraded])
    labels = torch.cat([torch.zeros(len(golden)), torch.ones(len(degraded))])
    for step in tqdm(range(steps), desc=name):
        rng = stream(SEED, "classifier", name, step)
        rows = torch.from_numpy(rng.integers(0, len(both), 32))
        sigma = torch.from_numpy(rng.random(32)).float()
        eps = normal(tuple(both[rows].shape), SEED, "classifier noise", name, step)
        logits = network(flow_corrupt(both[rows], eps, sigma), sigma)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, labels[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return network.eval()


@torch.no_grad()
def accuracy(
    network: Classifier, golden: torch.Tensor, degraded: torch.Tensor, sigma: float
) -> float:
    """Return the accuracy on unseen pairs at one level, over four noise samples."""
    right = []
    for draw in range(4):
        for latents, label in ((golden, 0), (degraded, 1)):
            eps = normal(tuple(latents.shape), SEED, "classifier test", label, draw)
            levels = torch.full((len(latents),), sigma)
            logits = network(flow_corrupt(latents, eps, levels), levels)
            right.append(((logits > 0).long() == label).float().mean().item())
    return float(np.mean(right))


def main() -> None:
    """Train one classifier per degradation, annotate, compare with bands."""
    parser = study_parser(__file__, __doc__)
    parser.add_argument("--run", type=Path, required=True, help="finished probe")
    parser.add_argument("--ckpt", default="tiny")
    parser.add_argument("--train", type=int, default=192, help="training clips")
    parser.add_argument("--test", type=int, default=64, help="unseen clips")
    parser.add_argument("--steps", type=int, default=600)
    args = parser.parse_args()
    run = FinishedProbe(args.run)
    schedule = run.schedule
    names = [
        n for n in schedule.degradations_detail if not n.startswith(("rev", "ide"))
    ]
    model = load_model(args.ckpt, "cpu", "fp32")
    settings = ProbeRunSettings(ckpt=args.ckpt)
    encoder = ClipEncoder(model, clip_shape(settings, model), SEED, default_cache())
    clips = open_clips(f"synthetic:{args.train + args.test}", None, SEED).golden
    with tqdm(total=len(clips) * (1 + len(names)), desc="encode") as bar:
        encoded = encode_clips(
            encoder,
            clips,
            parse_degradations(",".join(names)),
            max_bad=0,
            progress=bar.update,
        )
    levels = run.levels
    rows = {}
    for name in names:
        golden, degraded = encoded.latents["golden"], encoded.latents[name]
        network = train(golden[: args.train], degraded[: args.train], args.steps, name)
        found = [
            accuracy(network, golden[args.train :], degraded[args.train :], sigma)
            for sigma in levels
        ]
        telling = [s for s, value in zip(levels, found) if value > 0.5 + MARGIN]
        entry = schedule.degradations_detail[name]
        rows[name] = {
            "accuracy": found,
            "sigma_min": max(telling) if telling else 0.0,
            "cosine": entry.cosine,
            "bands": entry.bands,
        }
        print(name, "accuracy", np.round(found, 2), "bands", entry.bands)
    write_results(
        parser,
        args,
        {
            "levels": levels,
            "degradations": rows,
        },
    )


if __name__ == "__main__":
    run_script(main)
