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

from analyses.tables.cell_schedules import CENTRES
from tqd_probe.probing.result import ProbeResult, as_array

DENSITIES = ("density by signal", "density by loss", "density by gain")


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
