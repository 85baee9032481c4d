"""What a wanted precision costs: clips, draws and time, from a small pilot."""

from __future__ import annotations

import math
import tempfile
import time
from pathlib import Path

import numpy as np

from tqd_probe import probing
from tqd_probe.opened import model_levels, open_model
from tqd_probe.results import subjects
from tqd_probe.settings import RunSettings
from tqd_probe.similarity import LevelStatistics

PILOT_CLIPS, PILOT_DRAWS, PILOT_LEVELS = 12, 2, 3
DRAWS = (1, 2, 4)


def plan(settings: RunSettings) -> str:
    """Run a pilot and predict the cost of intervals of a wanted width.

    The half-width of a cosine's interval falls as one over the root of the number of
    clips; draws shrink only the part of the variance that is between draws.

    Args:
        settings: The settings of the run that is planned.

    Returns:
        A table: per level, clips needed for each number of draws, and minutes.
    """
    model = open_model(settings)
    sigmas = model_levels(settings, model)
    between = (sigmas[0] + model.sigma_range[1]) / 2  # a pilot needs two levels
    chosen = np.unique(
        np.linspace(0, len(sigmas) - 1, PILOT_LEVELS).round().astype(int)
    )
    with tempfile.TemporaryDirectory() as folder:
        pilot = settings.model_copy(
            update={
                "out": Path(folder) / "pilot",
                "num_clips": min(settings.num_clips or PILOT_CLIPS, PILOT_CLIPS),
                "draws": PILOT_DRAWS,
                "levels": ",".join(repr(float(sigmas[i])) for i in chosen)
                if len(chosen) > 1
                else f"{float(sigmas[0])!r},{float(between)!r}",
            }
        )
        probe = probing.prepare(pilot)
        began = time.perf_counter()
        probing.run(probe)
        spent = time.perf_counter() - began
        names = subjects(probe.degradations)
        rows = []
        for index, sigma in enumerate(probe.sigmas):
            statistics = LevelStatistics(
                probe.level(index).all_groups(),
                0,
                seed=settings.seed,
                confidence=settings.confidence,
            )
            golden = statistics.golden()
            widths = [statistics.compare(pooled).cosine_ci for pooled in names.values()]
            widest = max((high - low for low, high in widths), default=math.nan)
            rows.append((float(sigma), golden, widest))
    passes = len(probe.sigmas) * len(probe.encoded.ids) * PILOT_DRAWS
    seconds = spent / (passes * len(probe.encoded.conditions))
    versions = len(probe.encoded.conditions)
    lines = [
        f"pilot: {len(probe.encoded.ids)} clips x {PILOT_DRAWS} draws,"
        f" {seconds * 1000:.0f} ms per clip gradient, {versions} versions per clip",
        f"clips for cosine intervals of width {settings.plan_width:g} (minutes for all"
        f" {len(sigmas)} levels), by draws per clip",
        "sigma   resolved  " + "".join(f"{f'{r} draws':>18}" for r in DRAWS),
    ]
    for sigma, golden, widest in rows:
        cells = ""
        for draws in DRAWS:
            clips = clips_needed(
                len(probe.encoded.ids),
                widest,
                settings.plan_width,
                golden.variance_clips,
                golden.variance_draws,
                draws,
            )
            if clips is None:
                cells += f"{'undefined':>18}"
                continue
            minutes = clips * draws * versions * len(sigmas) * seconds / 60
            cells += f"{f'{clips} ({minutes:.1f} min)':>18}"
        lines.append(f"{sigma:<8.3g}{'yes' if golden.resolved else 'no':<10}{cells}")
    return "\n".join(lines)


def clips_needed(
    clips: int,
    width: float,
    wanted: float,
    variance_clips: float,
    variance_draws: float,
    draws: int,
) -> int | None:
    """Predict the clips that give an interval of a wanted width.

    Args:
        clips: Clips of the pilot, with ``PILOT_DRAWS`` draws each.
        width: Width the pilot found.
        wanted: Width wanted.
        variance_clips: Gradient variance between clips.
        variance_draws: Gradient variance between draws of a clip.
        draws: Draws per clip to plan with.

    Returns:
        The number of clips, at least 4; None where the pilot's width is undefined.
    """
    if not math.isfinite(width) or width <= 0:
        return None
    between = max(variance_clips, 0.0)
    pilot = between + variance_draws / PILOT_DRAWS
    share = (between + variance_draws / draws) / pilot if pilot > 0 else 1.0
    return max(4, math.ceil(clips * (width / wanted) ** 2 * share))
