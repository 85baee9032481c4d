"""Collections of clips that share none: to probe, to judge and to train on.

A collection has a number. Of synthetic clips it is their seed; of a folder, a block of
consecutive clips. Each has a *second* collection beside it, as good and of other clips:
the control that must come out as golden.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from tqd_probe.clips.clip import Clip
from tqd_probe.clips.source import open_clips
from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.core.errors import InputError

PROBE, HELD_OUT, TRAIN = 7001, 7002, 7100  # TRAIN + k for the trainings of seed k
SECOND = "second:1"  # golden clips of another collection, in place of a degradation
BEYOND = 500  # number of a second collection less that of the first
BLOCK = 48  # clips of one collection in a folder
PLACES = [PROBE, HELD_OUT, TRAIN, TRAIN + 1]
PLACES += [PROBE + BEYOND, TRAIN + BEYOND, TRAIN + 1 + BEYOND]


class ClipCollections:
    """Clips by the number of their collection."""

    def __init__(self, source: str = "synthetic") -> None:
        """Note the source.

        Args:
            source: ``synthetic``, or a folder of videos with captions.
        """
        self.source = source

    @property
    def name(self) -> str:
        """Name of the source, the same wherever the folder lies."""
        return self.source if self.source == "synthetic" else Path(self.source).name

    @cached_property
    def _videos(self) -> list[Clip]:
        return open_clips(self.source, None, 0).golden

    def take(self, number: int, count: int, second: bool = False) -> list[Clip]:
        """Return the first clips of a collection.

        Args:
            number: The collection.
            count: How many clips.
            second: Take the one beside it.

        Returns:
            The clips.

        Raises:
            InputError: If a folder has too few.
        """
        number += BEYOND * second
        if self.source == "synthetic":
            return [synthetic_clip(index, number) for index in range(count)]
        if number not in PLACES or count > BLOCK:
            raise InputError(
                f"{self.source}: clips of a folder serve two seeds of trainings and"
                f" {BLOCK} clips each; ask for fewer"
            )
        first = BLOCK * PLACES.index(number)
        if len(self._videos) < first + count:
            raise InputError(
                f"{self.source}: {len(self._videos)} clips, {first + count} needed;"
                " render more"
            )
        return self._videos[first : first + count]
