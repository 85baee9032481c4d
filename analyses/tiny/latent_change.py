"""What a degradation changes in the latents of `tiny`, channel by channel.

A channel in which golden latents have the deviation s teaches most at the noise level
where s (1 - sigma) = sigma; what a degradation changes there tells at which levels to
expect it to matter. Printed per degradation: the root mean square of the change, the
largest of any channel, and the noise level at which that channel stands level with the
noise.

    python -m analyses.tiny.latent_change
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLWan

from analyses.results_file import run_script, study_parser, write_results
from tqd_probe.clips.degradations import parse_degradations
from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.models.load import checkpoint_path


@torch.no_grad()
def encode(vae: AutoencoderKLWan, video: np.ndarray) -> torch.Tensor:
    """Encode uint8 ``[T, H, W, 3]`` to normalised latents ``[Z, t, h, w]``."""
    pixels = torch.from_numpy(video).permute(3, 0, 1, 2).float() / 127.5 - 1
    z = vae.encode(pixels[None]).latent_dist.mode()[0]
    mean, std = (
        torch.tensor(v)[:, None, None, None]
        for v in (vae.config.latents_mean, vae.config.latents_std)
    )
    return (z - mean) / std


def main() -> None:
    """Encode clips and their degraded copies, and compare."""
    parser = study_parser(__file__, __doc__)
    parser.add_argument("--ckpt", default="tiny")
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--degradations", default="blur:3,noise:3,downscale:3,freeze:5", help="to apply"
    )
    args = parser.parse_args()
    folder = Path(checkpoint_path(args.ckpt))
    vae = AutoencoderKLWan.from_pretrained(folder / "vae").eval()
    native = json.loads((folder / "native_clip.json").read_text())
    shape = ClipShape(
        native["num_frames"], native["height"], native["width"], native["fps"]
    )
    clips = [synthetic_clip(index, args.seed) for index in range(args.clips)]
    golden = torch.stack([encode(vae, clip.read(shape)) for clip in clips])
    deviation = golden.std((0, 2, 3, 4))
    print("golden deviation per channel, falling:")
    print(" ".join(f"{v:.2f}" for v in deviation.sort(descending=True).values))
    result = {
        "ckpt": args.ckpt,
        "clips": args.clips,
        "seed": args.seed,
        "deviation": [round(float(v), 4) for v in deviation],
        "change": {},
    }
    for degradation in parse_degradations(args.degradations):
        copies = [
            encode(vae, degradation.apply(clip, shape, args.seed)) for clip in clips
        ]
        change = ((torch.stack(copies) - golden) ** 2).mean((0, 2, 3, 4)).sqrt()
        largest = float(change.max())
        print(
            f"{degradation!s:13s} rms {float((change**2).mean().sqrt()):.3f}"
            f"  largest {largest:.3f}, level with the noise at sigma"
            f" {largest / (1 + largest):.2f}"
        )
        result["change"][str(degradation)] = [round(float(v), 4) for v in change]
    write_results(parser, args, result)


if __name__ == "__main__":
    run_script(main)
