"""What `tqd_tables.py` compares: sets of clips, and ways to train on them.

Set-A is everything, Set-B the imbalanced clips, Set-C the golden ones (fewer), as in
the paper.
"""

from __future__ import annotations

import csv
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

SETS = {
    "A": ("golden", "visual_degraded", "motion_degraded"),
    "B": ("visual_degraded", "motion_degraded"),
    "C": ("golden",),
}
CLASSES = SETS["A"]


@dataclass(frozen=True)
class Arm:
    """One way to train.

    Attributes:
        name: In tables.
        kind: ``baseline``, ``hand-set`` or ``measured``.
        options: Settings of the training.
    """

    name: str
    kind: str
    options: dict[str, Any] = field(default_factory=dict)


def make_sets(folder: Path, golden: int, visual: int, motion: int) -> dict[str, Path]:
    """Write the clips once, and a manifest for each set.

    Args:
        folder: Where they go.
        golden: Clips of that class, as the next two.
        visual: The same.
        motion: The same.

    Returns:
        Manifests by the set's letter.
    """
    found = {letter: folder / f"set_{letter.lower()}.csv" for letter in SETS}
    if not (folder / "clips.csv").exists():
        script = Path(__file__).with_name("make_imbalanced.py")
        counts = ["--golden", golden, "--visual", visual, "--motion", motion]
        command = [sys.executable, str(script), "--out", str(folder), *map(str, counts)]
        subprocess.run(command, check=True)
    with open(folder / "clips.csv", newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    for letter, path in found.items():
        with open(path, "w", newline="", encoding="utf-8") as handle:
            table = csv.DictWriter(handle, rows[0].keys())
            table.writeheader()
            table.writerows(row for row in rows if row["class"] in SETS[letter])
    return found


def ablation_arms(
    manifest: Path, schedules: dict[str, Path], remeasure: int
) -> list[Arm]:
    """List parts of TQD and other ways to use a schedule, for one set.

    The paper's two parts are told apart by the scores alone: equal scores of a clip
    give it a flat Beta and leave its keep probability; higher scores made equal for
    all clips, each with its own gap, leave the Beta and keep every clip alike.

    Args:
        manifest: Manifest of the set; two more are written beside it.
        schedules: Files by name.
        remeasure: Steps between measurements of the schedule; 0 leaves these out.

    Returns:
        The arms; ``Beta, kappa_max 8`` of `arms_of` is both parts together.
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
    bands = {"sampler": "bands", "schedule": schedules["bands"]}
    arms = [
        Arm(
            "adaptive timestep alone", "ablation",
            beta | {"clips": str(files["timestep"])},
        ),
        Arm(
            "quality dropout alone", "ablation", beta | {"clips": str(files["dropout"])}
        ),
        Arm("Beta, kappa_max 8, level first", "ablation", beta | {"order": "level"}),
        Arm("bands, level first", "ablation", bands | {"order": "level"}),
    ]  # fmt: skip
    if remeasure:
        again = bands | {"reprobe_every": remeasure}
        arms.append(Arm("bands, re-measured", "ablation", again))
    return arms


def arms_of(letter: str, schedules: dict[str, Path]) -> list[Arm]:
    """List what is compared on a set.

    On golden clips alone, whose two scores are equal, bands and the per-level mixture
    are uniform, the SANA-Video rule is logit-normal, and Beta is uniform at every
    kappa_max but for its keep probability: all but one Beta are left out.

    Args:
        letter: The set.
        schedules: Files by name.

    Returns:
        The arms, uniform first.
    """
    arms = [Arm("uniform", "baseline", {"sampler": "uniform"})]
    arms.append(Arm("logit-normal", "hand-set", {"sampler": "logit_normal"}))
    for kappa in (4, 8, 16) if letter != "C" else (8,):
        options = {"sampler": "beta", "kappa_max": float(kappa)}
        arms.append(Arm(f"Beta, kappa_max {kappa}", "hand-set", options))
    if letter != "C":
        bands = schedules["bands"]
        fitted = {"sampler": "beta", "schedule": bands}
        arms.append(Arm("Beta, kappa_max fitted", "measured", fitted))
        rule = {"sampler": "mixture", "schedule": schedules[f"SANA {letter}"]}
        arms.append(Arm("SANA-Video rule", "hand-set", rule))
        arms.append(Arm("bands", "measured", {"sampler": "bands", "schedule": bands}))
        weights = {"sampler": "mixture", "schedule": schedules[f"per-level {letter}"]}
        arms.append(Arm("mixture, per level", "measured", weights))
    weights = {"sampler": "mixture", "schedule": schedules[f"joint {letter}"]}
    arms.append(Arm("mixture, joint", "measured", weights))
    return arms
