"""The progress bar of a probe, whose ETA is that of the whole run."""

from __future__ import annotations

from tqdm import tqdm

from tqd_probe.probing.cost import CostMeter
from tqd_probe.probing.workspace import Workspace


class DrawProgress:
    """A bar of the draws left; its ETA counts what follows the last draw.

    Finished levels do not count, so that they change no rate. A draw stands for its
    share of a level, reduction included, and what follows the last draw for as many as
    could be captured in that time: the ETA does not jump when levels end.
    """

    def __init__(self, workspace: Workspace, meter: CostMeter, progress: bool) -> None:
        """Count what is left.

        Args:
            workspace: The probe.
            meter: Has predicted the parts of the run.
            progress: Show the bar.
        """
        self._levels = len(workspace.sigmas)
        self._each = len(workspace.clip_ids) * workspace.settings.draws
        store, paired = workspace.store, len(workspace.encoded.ids)
        left = [i for i in range(self._levels) if not store.has_level(i)]
        total = len(left) * self._each
        stored = sum(sum(store.draws.count(i, paired)) for i in left)
        capture = meter.parts.get("capture", 0.0)
        self._tail = meter.tail / capture * (total - stored) if capture else 0.0
        self._stored, self._end = stored, 0
        self._bar = tqdm(
            total=total + self._tail,
            initial=stored,
            desc="probe",
            disable=not progress,
            smoothing=0,  # the mean rate of the run
            bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}",
        )

    def __enter__(self) -> DrawProgress:
        """Begin.

        Returns:
            Itself.
        """
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        """Leave the bar full, after an error as it is.

        Args:
            kind: Type of the error.
            *error: The error.
        """
        if kind is None:
            self._bar.update(self._tail)
        self._bar.close()

    def begin(self, level: int, sigma: float) -> None:
        """Begin a level.

        Args:
            level: Index of the level.
            sigma: Its noise.
        """
        text = f"level {level + 1}/{self._levels} sigma {sigma:.3g}"
        self._bar.set_description_str(text)
        self._end += self._each

    def update(self, draws: int) -> None:
        """Count draws that were captured, or that the store had.

        Args:
            draws: Their number.
        """
        stored = min(draws, self._stored)
        self._stored -= stored
        self._bar.update(draws - stored)

    def end_level(self) -> None:
        """Take draws that the level did without (adaptive) out of what is left."""
        missing = self._end - self._bar.n
        if missing > 0 and not self._bar.disable:
            self._bar.total -= missing
            self._end -= missing
