"""A pilot: a small temporary probe, from which a larger one is planned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tqd_probe.core.errors import InputError
from tqd_probe.core.processes import Processes, shared_temporary_folder
from tqd_probe.models.resolved_settings import resolve_settings
from tqd_probe.probing.checkpoint import load_model_to_probe, model_levels
from tqd_probe.probing.comparisons import paired_comparisons
from tqd_probe.probing.run import captured_gradients
from tqd_probe.probing.settings import ProbeRunSettings
from tqd_probe.statistics.forecast import Forecast, forecast
from tqd_probe.statistics.golden_signal import GoldenLevel
from tqd_probe.statistics.similarity import LevelStatistics

PILOT_CLIPS, PILOT_DRAWS, PILOT_LEVELS = 32, 2, 3


@dataclass(frozen=True)
class Pilot:
    """What a pilot found.

    Attributes:
        sigmas: Levels of the pilot ``[L]``.
        golden: Golden gradients per level.
        forecasts: Forecasts by class or degradation, per level.
        clips: Clips of the pilot.
        versions: Versions per clip.
        seconds: Time of one clip gradient in one process.
    """

    sigmas: np.ndarray
    golden: list[GoldenLevel]
    forecasts: list[dict[str, Forecast]]
    clips: int
    versions: int
    seconds: float


def run_pilot(settings: ProbeRunSettings, *, progress: bool = True) -> Pilot:
    """Probe a few clips at a few levels, in a temporary folder.

    Args:
        settings: The settings of the run that is planned.
        progress: Show progress bars and costs.

    Returns:
        What the pilot found.

    Raises:
        InputError: If there are no degraded copies to plan with.
    """
    if not settings.parsed_degradations():
        raise InputError("--plan: plans degraded copies; give --degradations")
    settings = resolve_settings(settings)
    processes = Processes.join(settings.device)
    levels, count = _pilot_levels(settings, processes.device(settings.device))
    with shared_temporary_folder(processes) as folder:
        pilot = settings.model_copy(
            update={
                "out": folder / "pilot",
                "draws": PILOT_DRAWS,
                "adaptive": False,
                "levels": levels,
            }
        )
        with captured_gradients(
            pilot, progress=progress, clips_at_most=PILOT_CLIPS
        ) as probe:
            spent = probe.capture_seconds
            grams = [probe.level(i).all_groups() for i in range(len(probe.sigmas))]
    statistics = [
        LevelStatistics(gram, 0, confidence=settings.level_confidence())
        for gram in grams
    ]
    compared = paired_comparisons(probe.degradations)
    clips, versions = len(probe.encoded.ids), len(probe.encoded.versions)
    passes = len(grams) * PILOT_DRAWS * (clips * versions + len(probe.unpaired_indices))
    return Pilot(
        sigmas=probe.sigmas[:count],
        golden=[each.golden() for each in statistics[:count]],
        forecasts=[
            {name: forecast(each, rows) for name, rows in compared.items()}
            for each in statistics[:count]
        ],
        clips=clips,
        versions=versions,
        seconds=spent * processes.world / passes,
    )


def _pilot_levels(settings: ProbeRunSettings, device: str) -> tuple[str, int]:
    """Choose lowest, middle and highest level of the run.

    Returns:
        The option ``--levels`` of the pilot, and how many of its levels count: a pilot
        has two at least.
    """
    model = load_model_to_probe(settings, device)
    sigmas = model_levels(settings, model)
    places = np.linspace(0, len(sigmas) - 1, PILOT_LEVELS).round().astype(int)
    chosen = [float(sigma) for sigma in sigmas[np.unique(places)]]
    count = len(chosen)
    if count == 1:
        chosen.append(float((sigmas[0] + model.sigma_range[1]) / 2))
    return ",".join(repr(sigma) for sigma in chosen), count
