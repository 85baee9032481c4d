"""Validation clips corrupted the same way every time: the same levels and noise.

Each clip is corrupted once in each of ten buckets of sigma. Inside a bucket the clips
of a class are spread evenly, so that a class's ten losses cover all of the axis. Two
validations, of one run or of two, differ by the weights alone, so the interval of their
paired difference is much narrower than that of either loss.
"""

from __future__ import annotations

import numpy as np
import torch

from tqd_probe.core.rng import normal, stream
from tqd_probe.models.base import Conditioned, collate
from tqd_probe.sampling.draw_stream import TrainingDraw
from tqd_probe.sampling.level_buckets import BUCKETS, FULL_RANGE, bucket_edges
from tqd_probe.training.batches import Batch
from tqd_probe.training.encoded_clips import CachedClips


class ValidationSet:
    """Encoded clips with their fixed levels and noise.

    Attributes:
        clips: The encoded clips.
        classes: Class of each clip ``[N]``.
        edges: Edges of the buckets of sigma ``[BUCKETS + 1]``.
        sigma: Level of each clip in each bucket ``[N, BUCKETS]``.
    """

    def __init__(
        self,
        clips: CachedClips,
        seed: int,
        sigma_range: tuple[float, float] = FULL_RANGE,
    ) -> None:
        """Choose the levels.

        Args:
            clips: The clips.
            seed: Run seed, which decides levels and noise.
            sigma_range: Levels that the model is trained on.
        """
        self.clips, self.seed = clips, seed
        self.classes = np.array([e.clip_class for e in clips.clips], dtype=object)
        self.edges = bucket_edges(sigma_range)
        self.sigma = np.empty((len(clips.clips), BUCKETS))
        for name in sorted(set(self.classes)):
            rows = np.flatnonzero(self.classes == name)
            for bucket in range(BUCKETS):
                order = stream(seed, "validation-level", name, bucket)
                place = (order.permutation(len(rows)) + 0.5) / len(rows)
                width = self.edges[bucket + 1] - self.edges[bucket]
                self.sigma[rows, bucket] = self.edges[bucket] + place * width

    def batch(self, pairs: list[tuple[int, int]], device: torch.device) -> Batch:
        """Build the batch of some clips in some buckets.

        Args:
            pairs: Row of the clip and bucket of each sample.
            device: Where it goes.

        Returns:
            The batch.
        """
        clips = [self.clips.get(row) for row, _ in pairs]
        noise = [
            normal(
                tuple(clip.latents.shape),
                self.seed,
                "validation-noise",
                self.clips.clips[row].clip.id,
                bucket,
            )
            for clip, (row, bucket) in zip(clips, pairs)
        ]
        levels = [float(self.sigma[pair]) for pair in pairs]
        encoded = collate(clips)
        return Batch(
            draws=[
                TrainingDraw(0, row, level) for (row, _), level in zip(pairs, levels)
            ],
            encoded=Conditioned(
                encoded.latents.to(device),
                {
                    name: value.to(device)
                    for name, value in encoded.conditioning.items()
                },
            ),
            eps=torch.stack(noise).to(device),
            sigma=torch.tensor(levels, dtype=torch.float32, device=device),
        )
