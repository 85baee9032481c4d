"""The state of a probe: model, clips, levels, and where gradients are stored."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from tqd_probe.clips.degradations import Degradation
from tqd_probe.clips.shape import ClipShape
from tqd_probe.core.determinism import deterministic
from tqd_probe.core.errors import InputError
from tqd_probe.core.memory import free_bytes
from tqd_probe.core.processes import Processes
from tqd_probe.core.run_directory import RunDescription
from tqd_probe.gradients.capture import GradientCapture
from tqd_probe.gradients.draws import LevelDraws
from tqd_probe.gradients.gram import LevelGram
from tqd_probe.gradients.kept_gradients import KeptGradients, Sketched, Whole
from tqd_probe.gradients.layout import Layout
from tqd_probe.gradients.metric import FullMetric, Metric
from tqd_probe.gradients.reduce_level import Reduction
from tqd_probe.gradients.sketch import Sketch
from tqd_probe.gradients.store import GradientStore
from tqd_probe.models.base import VideoModel
from tqd_probe.models.clip_encoder import GOLDEN, EncodedClips
from tqd_probe.probing.comparisons import paired_classes
from tqd_probe.probing.memory_guard import MemoryGuard
from tqd_probe.probing.run_directory import claim_for_all_processes
from tqd_probe.probing.settings import ProbeRunSettings
from tqd_probe.statistics.moments import Moments

T = TypeVar("T")
R = TypeVar("R")
HELD_SHARE = 0.4  # of the free memory may hold draws of unfinished levels


@dataclass
class Workspace:
    """State of a probe: what was prepared, and what is measured while it runs.

    Attributes:
        settings: The run's settings.
        out: The run directory.
        description: Content of ``run.json``.
        gradient_fingerprint: Hash of everything that shapes gradients.
        model: The checkpoint.
        shape: Clip shape.
        degradations: Degradations in order.
        encoded: Encoded golden and degraded clips.
        sigmas: Noise levels ``[L]``.
        layout: The probed parameters.
        sketch: The random map of sketches; full gradients are sketched too.
        sketched: Whether sketches alone are kept of gradients.
        processes: The processes that share the run.
        in_step: Whether they share the weights too, and so run every pass together.
        encoded_unpaired: Encoded clips of imbalanced classes, probed unpaired.
        unpaired_rows: Rows of `encoded_unpaired` by class.
        adam_state: Second moments of the user's optimiser, for the metric; None where
            they are estimated.
        metric: What gradients are multiplied by, once it is known; None for nothing.
        too_few: Real clips of classes that have too few of them to be probed, by class.
        severities: Latent distances by which severities were matched, if they were.
        covered_share: Share of the squared gradient norm that is captured; NaN until
            it is measured.
        capture_seconds: Time that capturing took, where something was left to do.
        seconds: Time that parts of the run took, so far (`wall_time.py`).
        work: ``batch_size`` (clip versions per pass) and ``flops_per_clip_gradient``,
            once measured.
    """

    settings: ProbeRunSettings
    out: Path
    description: RunDescription
    gradient_fingerprint: str
    model: VideoModel
    shape: ClipShape
    degradations: tuple[Degradation, ...]
    encoded: EncodedClips
    sigmas: np.ndarray
    layout: Layout
    sketch: Sketch
    sketched: bool
    processes: Processes = field(default_factory=Processes)
    in_step: bool = False
    encoded_unpaired: EncodedClips | None = None
    unpaired_rows: dict[str, list[int]] = field(default_factory=dict)
    adam_state: torch.Tensor | None = None
    metric: Metric | None = None
    too_few: dict[str, int] = field(default_factory=dict)
    severities: dict[str, list[float]] | None = None
    covered_share: float = float("nan")
    capture_seconds: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    work: dict[str, int] = field(default_factory=dict)
    _store: GradientStore | None = field(default=None, repr=False)

    def claim(self) -> None:
        """Reserve the run directory and open its gradient store.

        Nothing is created before: all checks that can refuse the run come first.
        """
        self._store = claim_for_all_processes(
            self.out,
            self.description,
            self.gradient_fingerprint,
            self.settings.overwrite,
            self.processes,
        )
        held = HELD_SHARE * free_bytes("cpu") / self.processes.world
        self._store.draws.limit = held

    def release(self) -> None:
        """Let other processes work in the run directory."""
        if self._store is not None:
            self._store.release()

    @property
    def store(self) -> GradientStore:
        """The gradient store.

        Raises:
            RuntimeError: If the run directory is not claimed yet.
        """
        if self._store is None:
            raise RuntimeError("the run directory is not claimed yet")
        return self._store

    @property
    def clip_ids(self) -> list[str]:
        """Names of all clips: golden ones, then unpaired ones."""
        return self.encoded.ids + (
            self.encoded_unpaired.ids if self.encoded_unpaired else []
        )

    @property
    def unpaired_indices(self) -> range:
        """Indices of the unpaired clips in `clip_ids`."""
        return range(len(self.encoded.ids), len(self.clip_ids))

    @property
    def classes(self) -> dict[str, list[int]]:
        """Versions that golden and each class of degraded copies pool."""
        return paired_classes(self.degradations, self.unpaired_rows)

    @property
    def reduction(self) -> Reduction:
        """How levels are reduced."""
        return Reduction(
            self.layout,
            self.sketch,
            list(self.classes.values()),
            list(self.unpaired_rows.values()),
        )

    def level_draws(self, level: int, clips: int, samples: int) -> LevelDraws:
        """Choose draws of a level, unpaired clips included.

        Args:
            level: Index of the level.
            clips: Paired clips, from the first.
            samples: Noise samples of each, from the first.

        Returns:
            The draws.
        """
        others = self.unpaired_indices
        return LevelDraws(self.store.draws, level, clips, samples, others)

    @property
    def device(self) -> str:
        """The torch device of this process."""
        return self.processes.device(self.settings.device)

    @cached_property
    def guard(self) -> MemoryGuard:
        """Runs network passes within the memory there is."""
        settings = self.settings
        return MemoryGuard(
            self.model.network,
            settings.device,
            settings.dtype,
            settings.checkpointing,
            self.in_step,
        )

    def measured_once(
        self,
        path: Path,
        measure: Callable[[], T],
        stored: Callable[[Callable[[], T]], R],
    ) -> R:
        """Measure something by passes of the network, once for all processes.

        Args:
            path: Where it is stored.
            measure: Runs the passes. The main process calls it; all do, with the same
                clips, where they share the weights.
            stored: Returns what is stored, and calls its argument to measure and store
                it first if that is missing.

        Returns:
            What is stored.
        """
        make = measure
        if self.in_step and self.processes.broadcast_from_main(
            lambda: not path.exists()
        ):
            value = measure()
            make = lambda: value  # noqa: E731
        self.processes.broadcast_from_main(lambda: stored(make))
        return stored(make)

    def versions(self, clip: int) -> list[str]:
        """Name the versions of a clip that are probed.

        Args:
            clip: Index in `clip_ids`.

        Returns:
            Golden and its degradations; the clip itself for an unpaired one.
        """
        paired = clip < len(self.encoded.ids)
        return self.encoded.versions if paired else [GOLDEN]

    def engine(self, plain: bool = False, compiled: bool = False) -> GradientCapture:
        """Make the capture engine of this probe.

        Args:
            plain: Keep whole gradients as they are, whatever the run's metric.
            compiled: Compile the network's blocks.

        Returns:
            An engine that keeps full gradients or sketches, as the run does.
        """
        metric = self.metric if isinstance(self.metric, FullMetric) else None
        kept: KeptGradients = Whole(self.layout, None if plain else metric)
        if self.sketched:
            kept = Sketched(self.sketch, self.settings.exact_norms)
        return GradientCapture(self.model.network, self.layout, kept, compiled)

    def deterministic(self) -> AbstractContextManager[None]:
        """Make torch deterministic: a resumed run equals an uninterrupted one.

        Returns:
            A context manager.
        """
        parameters = sum(p.numel() for p in self.model.network.parameters())
        exact = self.settings.exact_resume == "on"
        return deterministic(torch.device(self.settings.device), parameters, exact)

    def level(self, index: int) -> LevelGram:
        """Return the Gram matrices of a finished level.

        Args:
            index: Index of the level.

        Returns:
            The matrices per module group.
        """
        return self.store.level(index)

    def moments(self) -> Moments:
        """Return the products between all classes at all levels.

        Returns:
            Moments of golden, the classes of copies and the unpaired ones, level by
            level.

        Raises:
            InputError: If an older version measured them, without what is needed.
        """
        tensors = self.store.moments()
        if "single" not in tensors:
            raise InputError(
                f"{self.settings.out}: measured by an older version, which did not keep"
                " the variance of single samples; measure again, into another --out"
            )
        return Moments(**tensors)
