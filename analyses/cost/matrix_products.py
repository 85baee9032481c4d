"""Matrix products of one clip's pass, counted: no time, the same everywhere."""

from __future__ import annotations

import json
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from analyses.cost import models
from tqd_probe.gradients.sketch import DEFAULT_SIZE

COUNTED = {  # width, blocks, feed-forward, text width, latents [F, h, w]
    "384": (384, 4, 2240, 512, (4, 32, 32)),
    "768": (768, 2, 4480, 512, (4, 32, 32)),
    "1536": (1536, 1, 8960, 512, (4, 32, 32)),
    "Wan 2.1 1.3B, 17 frames 480x832": (1536, 30, 8960, 4096, (5, 60, 104)),
    "Wan 2.1 1.3B, 81 frames 480x832": (1536, 30, 8960, 4096, (21, 60, 104)),
    "Wan 2.1 14B, 81 frames 480x832": (5120, 40, 13824, 4096, (21, 60, 104)),
}


def study() -> dict[str, Any]:
    """Count the matrix products of one clip's pass, way by way.

    Networks without memory (torch's meta device); attention counts as it is written
    (two products forward, four backward).
    """
    found = {}
    for name, (width, layers, feed, text, latent) in COUNTED.items():
        tokens = latent[0] * latent[1] * latent[2] // 4
        with torch.device("meta"):
            network = models.wan(width, layers, feed=feed, text=text)
            task = models.Task(network, 1, latent=latent, text=text)
        counts = {}
        for mode, action in {
            "plain": task.plain,
            "floor": task.floor,
            "sketched": task.capturing(task.engine(DEFAULT_SIZE)),
            "exact_norms": task.capturing(task.engine(DEFAULT_SIZE, exact_norms=True)),
        }.items():
            with FlopCounterMode(display=False) as counter:
                action()
            counts[mode] = int(counter.get_total_flops())
        ratios = {mode: value / counts["plain"] for mode, value in counts.items()}
        found[name] = {
            "tokens": tokens,
            "parameters": sum(p.numel() for p in network.parameters()),
            "plain_flops": counts["plain"],
            "ratio": ratios,
        }
        print(name, json.dumps(found[name]), flush=True)
    return found
