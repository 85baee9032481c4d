"""Classes and scores of clips, as timestep samplers take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tqd_probe.core.clip_classes import LEAST_CLIPS
from tqd_probe.core.errors import InputError


@dataclass(frozen=True)
class ClipPool:
    """Classes and scores of clips, one entry per clip.

    Attributes:
        classes: Class names ``[N]``.
        mq: Motion quality in [0, 1] ``[N]``, NaN where there is no score.
        vq: Visual quality in [0, 1] ``[N]``, NaN where there is no score.
        repeats: How often a clip is drawn, relative to one with 1 ``[N]``.
    """

    classes: np.ndarray
    mq: np.ndarray
    vq: np.ndarray
    repeats: np.ndarray

    @classmethod
    def of(
        cls,
        classes: Sequence[str],
        mq: Sequence[float | None] | np.ndarray | None = None,
        vq: Sequence[float | None] | np.ndarray | None = None,
        repeats: Sequence[float] | None = None,
    ) -> ClipPool:
        """Build a pool from lists.

        Args:
            classes: Class of each clip.
            mq: Motion quality of each; None where there is no score.
            vq: Visual quality of each; None where there is no score.
            repeats: How often each is drawn, relative to one with 1; None: all alike.

        Returns:
            The pool.
        """
        blank = np.full(len(classes), np.nan)
        scores = [
            blank if s is None else np.array([np.nan if x is None else x for x in s])
            for s in (mq, vq)
        ]
        often = np.ones(len(classes)) if repeats is None else np.array(repeats, float)
        return cls(np.array(classes, dtype=object), scores[0], scores[1], often)

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.classes)

    def take(self, rows: Any) -> ClipPool:
        """Return some clips.

        Args:
            rows: Indices or a mask.

        Returns:
            A pool of those clips.
        """
        return ClipPool(
            self.classes[rows], self.mq[rows], self.vq[rows], self.repeats[rows]
        )

    def refuse_unknown(
        self,
        names: Sequence[str],
        sampler: str,
        reasons: Mapping[str, str | None] | None = None,
    ) -> None:
        """Refuse clips of classes that a schedule has not measured.

        Args:
            names: Classes that the schedule measured.
            sampler: Name of the sampler, for the message.
            reasons: Why others are not, by class.

        Raises:
            InputError: If a clip has another class.
        """
        unknown = sorted(set(self.classes) - set(names))
        if unknown:
            name = unknown[0]
            count = int((self.classes == name).sum())
            reason = (reasons or {}).get(name) or f"it has {', '.join(names)}"
            raise InputError(
                f"--sampler {sampler}: class {name!r}, {count} clips: not measured by"
                f" the schedule ({reason}); measure it by gradsim, with degradations of"
                f" that kind or {LEAST_CLIPS} real clips of it, or leave its clips out"
                f" with --drop-class {name}"
            )
