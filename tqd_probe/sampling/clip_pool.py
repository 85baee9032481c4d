"""Classes and scores of clips, as timestep samplers take them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tqd_probe.core.errors import InputError


@dataclass(frozen=True)
class ClipPool:
    """Classes and scores of clips, one entry per clip.

    Attributes:
        classes: Class names ``[N]``.
        mq: Motion quality in [0, 1] ``[N]``, NaN where there is no score.
        vq: Visual quality in [0, 1] ``[N]``, NaN where there is no score.
    """

    classes: np.ndarray
    mq: np.ndarray
    vq: np.ndarray

    @classmethod
    def of(
        cls,
        classes: Sequence[str],
        mq: Sequence[float | None] | np.ndarray | None = None,
        vq: Sequence[float | None] | np.ndarray | None = None,
    ) -> ClipPool:
        """Build a pool from lists.

        Args:
            classes: Class of each clip.
            mq: Motion quality of each; None where there is no score.
            vq: Visual quality of each; None where there is no score.

        Returns:
            The pool.
        """
        blank = np.full(len(classes), np.nan)
        scores = [
            blank if s is None else np.array([np.nan if x is None else x for x in s])
            for s in (mq, vq)
        ]
        return cls(np.array(classes, dtype=object), *scores)

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
        return ClipPool(self.classes[rows], self.mq[rows], self.vq[rows])

    def refuse_unknown(self, names: Sequence[str], sampler: str) -> None:
        """Refuse clips of classes that a schedule has not measured.

        Args:
            names: Classes of the schedule.
            sampler: Name of the sampler, for the message.

        Raises:
            InputError: If a clip has another class.
        """
        unknown = sorted(set(self.classes) - set(names))
        if unknown:
            count = int((self.classes == unknown[0]).sum())
            raise InputError(
                f"--sampler {sampler}: class {unknown[0]!r}: not in the schedule, which"
                f" has {', '.join(names)}; measure degradations of that kind, or leave"
                f" its {count} clips out"
            )
