"""Batches by step number: what step n trains on depends on n alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.utils.data import DataLoader, Dataset

from tqd_probe.core.rng import normal, stream
from tqd_probe.models.base import Conditioned, collate
from tqd_probe.sampling.draw_stream import DrawStream, TrainingDraw
from tqd_probe.training.encoded_clips import CachedClips


@dataclass
class Batch:
    """Samples of one process for one optimiser step.

    Attributes:
        draws: Clip and level of each sample.
        encoded: Clean latents and conditioning, ``[B, ...]``.
        eps: Noise like the latents.
        sigma: Levels ``[B]``, float32.
    """

    draws: list[TrainingDraw]
    encoded: Conditioned
    eps: torch.Tensor
    sigma: torch.Tensor

    def split(self, size: int, device: torch.device) -> Iterator[Batch]:
        """Yield micro-batches of at most `size` samples, on a device.

        Args:
            size: Samples at once.
            device: Where they go.

        Yields:
            Micro-batches in order.
        """
        for start in range(0, len(self.draws), size):
            part = slice(start, start + size)
            yield Batch(
                self.draws[part],
                Conditioned(
                    self.encoded.latents[part].to(device, non_blocking=True),
                    {
                        name: value[part].to(device, non_blocking=True)
                        for name, value in self.encoded.conditioning.items()
                    },
                ),
                self.eps[part].to(device, non_blocking=True),
                self.sigma[part].to(device),
            )


def sample_noise(shape: tuple[int, ...], seed: int, index: int) -> torch.Tensor:
    """Return the noise of a sample; the same under every sampler.

    Args:
        shape: Shape of the clip's latents.
        seed: Run seed.
        index: Number of the sample in the run.

    Returns:
        Standard normal noise, float32 on the CPU.
    """
    return normal(shape, seed, "train-noise", index)


class TrainingBatches(Dataset[Batch]):
    """Batches by step number; this process's share of each step's samples."""

    def __init__(
        self,
        draws: DrawStream,
        clips: CachedClips,
        batch_size: int,
        text_dropout: float,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        """Set what decides the batches.

        Args:
            draws: The run's draws.
            clips: The encoded clips.
            batch_size: Samples per step over all processes, a multiple of `world`.
            text_dropout: Share of samples with an empty caption.
            rank: Number of this process.
            world: How many processes there are.
        """
        self.draws, self.clips = draws, clips
        self.batch_size, self.text_dropout = batch_size, text_dropout
        self.rank, self.world = rank, world

    def __getitem__(self, step: int) -> Batch:
        """Return this process's samples of a step, in order of their numbers.

        Args:
            step: Number of the step, from 0.

        Returns:
            The batch, on the CPU.
        """
        each = self.batch_size // self.world
        first = step * self.batch_size + self.rank * each
        return self.samples(range(first, first + each))

    def samples(self, indices: range) -> Batch:
        """Return samples by their numbers in the run.

        Args:
            indices: The numbers.

        Returns:
            The batch, on the CPU.
        """
        draws = [self.draws.draw(index) for index in indices]
        clips = [
            self.clips.get(draw.clip, self.drops_caption(draw.index)) for draw in draws
        ]
        seed = self.draws.seed
        eps = [
            sample_noise(tuple(clip.latents.shape), seed, draw.index)
            for draw, clip in zip(draws, clips)
        ]
        sigma = torch.tensor([draw.sigma for draw in draws], dtype=torch.float32)
        return Batch(draws, collate(clips), torch.stack(eps), sigma)

    def drops_caption(self, index: int) -> bool:
        """Return whether a sample has its caption dropped.

        Args:
            index: Number of the sample in the run.

        Returns:
            True for a share `text_dropout` of the samples.
        """
        number = stream(self.draws.seed, "text-dropout", index).random()
        return bool(number < self.text_dropout)

    def steps(self, first: int, last: int, workers: int) -> Iterator[Batch]:
        """Yield the batches of steps in order, loaded ahead by worker processes.

        Args:
            first: First step.
            last: Step after the last one.
            workers: Loading processes; 0 loads in this one.

        Returns:
            An iterator over batches.
        """
        loader = DataLoader(
            self,
            batch_size=None,
            sampler=range(first, last),
            num_workers=workers,
            prefetch_factor=2 if workers else None,
        )
        return iter(loader)
