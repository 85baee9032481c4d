"""Densities of levels without regard to class, as a probe would choose them.

Each is in proportion to what a probe, or short trainings, measured at every level on
golden clips:

- *signal*: the norm of the mean golden gradient, ``sqrt(U_gg)``;
- *loss*: the golden loss;
- *gain*: what golden clips gain at the level by training there for 24 steps
  (`analyses.worth.similarity_worth`, on other clips).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from analyses.tables.cell_schedules import CELLS, CENTRES, in_bands
from tqd_probe.probing.result import ProbeResult, as_array
from tqd_probe.schedules.band_schedule import BandSchedule

DENSITIES = ("density by signal", "density by loss", "density by gain")
WITH_BANDS = tuple(f"{name}, bands" for name in DENSITIES)


def bands_on(
    bands: BandSchedule, counts: dict[str, int], density: np.ndarray
) -> np.ndarray:
    """Return each class in its bands, levels there as a density without class has them.

    As the sampler of bands draws: a clip first, then a level in the bands of its class.

    Args:
        bands: The schedule.
        counts: Clips of each class in the set; golden ones have all levels.
        density: Share of each cell ``[CELLS]``.

    Returns:
        Share of training ``[CELLS, classes]``, summing to 1; classes without a band
        have none.
    """
    inside = in_bands(bands)
    columns = [
        counts[name] * _normed(density * inside.get(name, np.ones(CELLS)))
        for name in counts
    ]
    return _normed(np.stack(columns, 1))


def _normed(shares: np.ndarray) -> np.ndarray:
    """Return shares that sum to 1; none where there are none."""
    total = shares.sum()
    return shares / total if total > 0 else shares


def densities(result: ProbeResult, worth: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return how often each cell of sigma is trained.

    Args:
        result: The result of a probe.
        worth: Results of `similarity_worth.py`.

    Returns:
        Shares ``[CELLS]`` by name, each summing to 1; linear between levels measured,
        constant outside of them.
    """
    levels = result.noise.levels
    signal = np.sqrt(np.maximum(np.nan_to_num(as_array(result.golden.signal)), 0))
    loss = as_array(result.golden.loss)
    gain = np.maximum([mean for mean, _, _ in worth["golden_gain"]], 0)
    at = {
        "density by signal": np.interp(CENTRES, levels, signal),
        "density by loss": np.interp(CENTRES, levels, loss),
        "density by gain": np.interp(CENTRES, worth["levels"], gain),
    }
    return {name: at[name] / at[name].sum() for name in DENSITIES}
