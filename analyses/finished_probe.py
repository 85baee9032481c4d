"""A finished run directory of `tqd_probe.gradsim`, read back by studies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tqd_probe.core.files import read_json
from tqd_probe.gradients.gram import LevelGram
from tqd_probe.gradients.store import GradientStore
from tqd_probe.probing.derive_schedule import derive_schedule
from tqd_probe.probing.result import Comparison, GoldenCurves, ProbeResult
from tqd_probe.schedules.band_schedule import BandSchedule


@dataclass(frozen=True)
class FinishedProbe:
    """A finished run directory.

    Attributes:
        folder: The run directory.
    """

    folder: Path

    @cached_property
    def result(self) -> ProbeResult:
        """Content of ``gradsim.json``."""
        return ProbeResult.load(self.folder / "gradsim.json")

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Settings of the run."""
        return read_json(self.folder / "run.json", "a run")["settings"]

    @cached_property
    def store(self) -> GradientStore:
        """Gradients of the run."""
        note = read_json(self.folder / "gradients" / "store.json", "a store")
        return GradientStore(self.folder / "gradients", note["fingerprint"])

    @cached_property
    def schedule(self) -> BandSchedule:
        """The band schedule of the run."""
        return derive_schedule(self.result)

    @property
    def command(self) -> str:
        """The settings of the run as arguments, those with a value."""
        return " ".join(
            f"--{name.replace('_', '-')} {value}"
            for name, value in self.settings.items()
            if value is not None and value is not False
        )

    @property
    def clips(self) -> int:
        """Number of golden clips."""
        return len(self.result.clips.ids)

    @property
    def golden(self) -> GoldenCurves:
        """What golden clips measured: ``snr``, ``loss``, ``resolved``, by level."""
        return self.result.golden

    @property
    def levels(self) -> list[float]:
        """Noise levels sigma."""
        return self.result.noise.levels

    @property
    def resolved(self) -> list[bool]:
        """Whether the golden gradient is resolved, level by level."""
        return self.golden.resolved

    @property
    def compared(self) -> dict[str, Comparison]:
        """Curves of every class and degradation, by name."""
        return self.result.subjects

    @property
    def degradations(self) -> list[str]:
        """Degradations such as ``blur:3``, in the order of the conditions from 1 on."""
        return [n for n, each in self.compared.items() if each.kind == "degradation"]

    def cosine(self, name: str) -> list[float | None]:
        """Return the debiased cosine of a class or degradation, level by level.

        Args:
            name: ``blur:3`` or ``visual_degraded``.

        Returns:
            None where it is undefined.
        """
        return self.compared[name].cosine

    def whole_grams(self) -> list[LevelGram]:
        """Return the Gram matrices of all module groups together, level by level."""
        count = len(self.levels)
        return [self.store.level(index).all_groups() for index in range(count)]
