"""What every trainer's module gives: the levels it draws, and the traps on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from tqd_probe.exporting.level_distribution import LevelDistribution

EVERY = "all data sets"


@dataclass(frozen=True)
class VideoShape:
    """Size of the clips, for trainers whose timestep shift depends on it.

    Attributes:
        frames: Frames per clip.
        height: Height in pixels.
        width: Width in pixels.
    """

    frames: int
    height: int
    width: int


@dataclass(frozen=True)
class TrainedLevels:
    """The levels at which one network is trained on one data set.

    Attributes:
        data_set: Name of the data set, or `EVERY`.
        levels: The distribution of sigma.
        rule: How the trainer draws it, in words.
        expert: ``high`` or ``low``, for a model with two networks.
        share: Share of the draws, which repeats of the data sets weigh; None where it
            is not known.
    """

    data_set: str
    levels: LevelDistribution
    rule: str
    expert: str | None = None
    share: float | None = None


@dataclass(frozen=True)
class TimestepPreview:
    """What a configuration really yields.

    Attributes:
        trainer: Name of the trainer.
        source: The configuration file.
        trained: Levels by data set and expert.
        traps: Settings that are ignored or do something else than they say; one
            sentence each, with the cure.
        notes: What else weighs on the levels, such as a loss weight.
        lengths: Length of each run with its data sets, in words.
        not_modelled: What decides which clips are drawn and is not computed here.
    """

    trainer: str
    source: Path
    trained: list[TrainedLevels]
    traps: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    lengths: list[str] = field(default_factory=list)
    not_modelled: list[str] = field(default_factory=list)


class TrainerFormat(Protocol):
    """A trainer whose configurations are read."""

    @property
    def name(self) -> str:
        """Name on the command line."""
        ...

    @property
    def title(self) -> str:
        """Name of the project."""
        ...

    def recognises(self, path: Path) -> bool:
        """Return whether a file looks like a configuration of this trainer."""
        ...

    def preview(self, path: Path, shape: VideoShape | None) -> TimestepPreview:
        """Read a configuration.

        Args:
            path: The file.
            shape: Size of the clips; None if it is not known.

        Returns:
            The levels that it yields.

        Raises:
            InputError: If the configuration cannot be read, or its trainer would
                refuse it.
        """
        ...


def split_experts(whole: TrainedLevels, boundary: float) -> list[TrainedLevels]:
    """Split levels between two networks that are trained in one run.

    Args:
        whole: The levels of both.
        boundary: The level from which on the high-noise network is trained.

    Returns:
        Those of the high-noise network, and of the low-noise one; one that is never
        drawn is left out.
    """
    below = float(whole.levels.cdf(np.array(boundary), "left"))
    ranges = {"high": (boundary, 1.0), "low": (0.0, float(np.nextafter(boundary, 0)))}
    shares = {"high": 1 - below, "low": below}
    return [
        TrainedLevels(
            data_set=whole.data_set,
            levels=whole.levels.restricted([ranges[expert]]),
            rule=whole.rule,
            expert=expert,
            share=share if whole.share is None else share * whole.share,
        )
        for expert, share in shares.items()
        if share > 0
    ]
