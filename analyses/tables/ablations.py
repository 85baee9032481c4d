"""Parts of TQD alone, and other ways to use a schedule."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from analyses.tables.samplers import ComparedSampler


def ablations_of(
    manifest: Path, schedules: dict[str, Path], remeasure: int, letter: str
) -> list[ComparedSampler]:
    """List parts of TQD and other ways to use a schedule, for one set.

    The paper's two parts are told apart by the scores alone: equal scores of a clip
    give it a flat Beta and leave its keep probability; higher scores made equal for
    all clips, each with its own gap, leave the Beta and keep every clip alike.

    Args:
        manifest: Manifest of the set; two more are written beside it.
        schedules: Files by name.
        remeasure: Steps between measurements of the schedule; 0 leaves these out.
        letter: The set.

    Returns:
        The samplers; ``Beta, kappa_max 8`` of `samplers_of` is both parts together.
    """
    with open(manifest, newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    for row in rows:
        row["high"] = max(float(row["mq"]), float(row["vq"]))
    common = float(np.mean([row["high"] for row in rows]))
    scores = {
        "dropout": lambda row, value: row["high"],
        "timestep": lambda row, value: max(value + common - row["high"], 0.0),
    }
    files = {}
    for name, change in scores.items():
        files[name] = manifest.with_name(f"{manifest.stem}_{name}.csv")
        with open(files[name], "w", newline="", encoding="utf-8") as handle:
            table = csv.DictWriter(handle, [k for k in rows[0] if k != "high"])
            table.writeheader()
            for row in rows:
                new = {k: round(change(row, float(row[k])), 4) for k in ("mq", "vq")}
                table.writerow({k: v for k, v in row.items() if k != "high"} | new)
    beta = {"sampler": "beta", "kappa_max": 8.0}
    bands = {"sampler": "bands", "schedule": schedules["bands .95"]}
    samplers = [
        ComparedSampler(
            "adaptive timestep alone",
            "ablation",
            beta | {"clips": str(files["timestep"])},
        ),
        ComparedSampler(
            "quality dropout alone", "ablation", beta | {"clips": str(files["dropout"])}
        ),
        ComparedSampler(
            "Beta, kappa_max 8, level first", "ablation", beta | {"order": "level"}
        ),
        ComparedSampler(
            "bands .95, level first", "ablation", bands | {"order": "level"}
        ),
        ComparedSampler(
            "signal alone",
            "ablation",
            {"sampler": "mixture", "schedule": schedules[f"signal {letter}"]},
        ),
    ]
    if remeasure:
        again = bands | {"reprobe_every": remeasure}
        samplers.append(ComparedSampler("bands .95, re-measured", "ablation", again))
    return samplers
