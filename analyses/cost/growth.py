"""Time and size of whole runs of `tiny` by number of clips and of levels."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from analyses.cost.tiny_probe import tiny_probe
from tqd_probe.gradients.sketch import DEFAULT_SIZE
from tqd_probe.probing.passes import capture_all


def study() -> dict[str, Any]:
    """Time whole runs over a decade of clips and of levels, on `tiny`."""
    found: dict[str, Any] = {"clips": {}, "levels": {}, "store_bytes": {}}
    runs = [("clips", n, 2) for n in (6, 12, 24, 60)]
    runs += [("levels", 6, n) for n in (1, 2, 5, 10)]
    for what, clips, levels in runs:
        with tempfile.TemporaryDirectory() as place:
            probe = tiny_probe(
                Path(place) / "run",
                num_clips=clips,
                levels=str(levels),
                draws=1,
                sketch=str(DEFAULT_SIZE),
            )
            began = time.perf_counter()
            capture_all(probe, progress=False)
            spent = time.perf_counter() - began
            size = sum(f.stat().st_size for f in (probe.out / "gradients").rglob("*.*"))
            probe.release()
        key = clips if what == "clips" else levels
        found[what][str(key)] = spent
        found["store_bytes"][f"{what} {key}"] = size
        if what == "clips":
            found["bytes_per_clip_and_level"] = size / clips / levels
        print(what, key, round(spent, 2), flush=True)
    for what in ("clips", "levels"):
        x = np.array([float(k) for k in found[what]])
        y = np.array(list(found[what].values()))
        slope = np.polyfit(np.log(x), np.log(y), 1)[0]
        line = np.polyval(np.polyfit(x, y, 1), x)
        found[f"{what}_exponent"] = float(slope)
        found[f"{what}_r2"] = float(1 - ((y - line) ** 2).sum() / y.var() / len(y))
    return found
