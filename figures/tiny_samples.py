"""Contact sheet: clips the `tiny` checkpoint generates beside real ones.

python -m figures.tiny_samples    # writes figures/tiny_samples.png
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import WanPipeline
from matplotlib import pyplot as plt

from figures.helpers import figure_parser
from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.models.load import checkpoint_path

SHAPE = ClipShape(17, 64, 64, 16)
FRAMES = (0, 4, 8, 12, 16)
SEED = 3000  # held out: neither trained on nor the probe's default


def main() -> None:
    """Generate with the plain diffusers pipeline and draw the sheet."""
    parser = figure_parser(__file__, __doc__)
    parser.add_argument("--ckpt", default="tiny")
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".png"))
    args = parser.parse_args()
    clips = [synthetic_clip(index, SEED) for index in range(args.clips)]
    pipe = WanPipeline.from_pretrained(checkpoint_path(args.ckpt))
    videos = pipe(
        prompt=[clip.caption for clip in clips],
        height=64,
        width=64,
        num_frames=17,
        num_inference_steps=args.steps,
        guidance_scale=args.guidance,
        generator=torch.Generator().manual_seed(0),
        output_type="np",
    ).frames
    figure, axes = plt.subplots(
        args.clips, 1, figsize=(9, 1.12 * args.clips), layout="constrained"
    )
    gap = np.ones((64, 12, 3))
    for row, clip, video in zip(axes, clips, videos):
        real = clip.read(SHAPE) / 255
        strip = [real[i] for i in FRAMES] + [gap] + [video[i] for i in FRAMES]
        row.imshow(np.concatenate(strip, axis=1), interpolation="nearest")
        row.set_title(clip.caption, fontsize=7, loc="left", pad=2)
        row.axis("off")
    figure.suptitle(
        "left: a real clip of the caption; right: generated from the caption"
        f" ({args.steps} steps, guidance {args.guidance:g})",
        fontsize=9,
    )
    figure.savefig(args.out, dpi=130)
    print(args.out)


if __name__ == "__main__":
    main()
