"""What `compare_samplers.py` compares: sets of clips, and ways to train on them.

Set-A is everything, Set-B the imbalanced clips, Set-C the golden ones (fewer), as in
the paper.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from analyses.tables.make_imbalanced import write_set

SETS = {
    "A": ("golden", "visual_degraded", "motion_degraded"),
    "B": ("visual_degraded", "motion_degraded"),
    "C": ("golden",),
}
CLASSES = SETS["A"]
BARS = {"bands .90": 0.9, "bands .95": 0.95, "bands .98": 0.98}  # .90 is the default


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


def make_sets(
    folder: Path, golden: int, visual: int, motion: int, severity: int = 2
) -> dict[str, Path]:
    """Write the clips once, and a manifest for each set.

    Args:
        folder: Where they go.
        golden: Clips of that class, as the next two.
        visual: The same.
        motion: The same.
        severity: Least severity of degraded clips.

    Returns:
        Manifests by the set's letter.
    """
    found = {letter: folder / f"set_{letter.lower()}.csv" for letter in SETS}
    if not (folder / "clips.csv").exists():
        write_set(folder, dict(zip(CLASSES, (golden, visual, motion))), 500, severity)
    with open(folder / "clips.csv", newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    for letter, path in found.items():
        with open(path, "w", newline="", encoding="utf-8") as handle:
            table = csv.DictWriter(handle, rows[0].keys())
            table.writeheader()
            table.writerows(row for row in rows if row["class"] in SETS[letter])
    return found


def ablation_arms(
    manifest: Path, schedules: dict[str, Path], remeasure: int, letter: str
) -> list[Arm]:
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
    bands = {"sampler": "bands", "schedule": schedules["bands .95"]}
    arms = [
        Arm(
            "adaptive timestep alone",
            "ablation",
            beta | {"clips": str(files["timestep"])},
        ),
        Arm(
            "quality dropout alone", "ablation", beta | {"clips": str(files["dropout"])}
        ),
        Arm("Beta, kappa_max 8, level first", "ablation", beta | {"order": "level"}),
        Arm("bands .95, level first", "ablation", bands | {"order": "level"}),
        Arm(
            "signal alone",
            "ablation",
            {"sampler": "mixture", "schedule": schedules[f"signal {letter}"]},
        ),
    ]
    if remeasure:
        again = bands | {"reprobe_every": remeasure}
        arms.append(Arm("bands .95, re-measured", "ablation", again))
    return arms


def arms_of(letter: str, schedules: dict[str, Path]) -> list[Arm]:
    """List what is compared on a set.

    On golden clips alone, whose two scores are equal, bands, gates that leave the
    density of levels alone and the per-level mixture are uniform, the SANA-Video rule
    is logit-normal, and Beta is uniform at every kappa_max but for its keep
    probability: all but one Beta are left out.

    Args:
        letter: The set.
        schedules: Files by name.

    Returns:
        The arms, uniform first.
    """

    def mixture(name: str) -> dict[str, Any]:
        return {"sampler": "mixture", "schedule": schedules[f"{name} {letter}"]}

    arms = [Arm("uniform", "baseline", {"sampler": "uniform"})]
    arms.append(Arm("logit-normal", "hand-set", {"sampler": "logit_normal"}))
    for kappa in (4, 8, 16) if letter != "C" else (8,):
        options = {"sampler": "beta", "kappa_max": float(kappa)}
        arms.append(Arm(f"Beta, kappa_max {kappa}", "hand-set", options))
    if letter != "C":
        fitted = {"sampler": "beta", "schedule": schedules["bands .90"]}
        arms += [
            Arm("SANA-Video rule", "hand-set", mixture("SANA")),
            Arm("Beta, kappa_max fitted", "measured", fitted),
            *band_arms(schedules),
            Arm("bands .95, floor", "measured", mixture("floor")),
            Arm("gate by worth", "measured", mixture("worth")),
            Arm("mixture, per level", "measured", mixture("per-level")),
            Arm("mixture, joint, floor", "measured", mixture("joint, floor")),
        ]
    return [
        *arms,
        Arm("gate by worth, signal", "measured", mixture("worth, signal")),
        Arm("mixture, joint", "measured", mixture("joint")),
    ]


def band_arms(schedules: dict[str, Path]) -> list[Arm]:
    """List bands at the default bar, and at two that `similarity_worth` asks for.

    Args:
        schedules: Files by name.

    Returns:
        The arms.
    """
    return [
        Arm(name, "measured", {"sampler": "bands", "schedule": schedules[name]})
        for name in BARS
    ]


def other_arms(letter: str, schedules: dict[str, Path], place: str) -> list[Arm]:
    """List what is done with schedules measured on another checkpoint.

    Args:
        letter: The set; not C, on which bands and gates are uniform.
        schedules: Files by name.
        place: Where they were measured.

    Returns:
        The arms.
    """
    wanted = ("bands .95", "bands .95, floor", "gate by worth", "mixture, joint")
    return [
        Arm(f"{arm.name}, of {place}", arm.kind, arm.options)
        for arm in arms_of(letter, schedules)
        if arm.name in wanted
    ]


def chosen(arms: list[Arm], letter: str, only: str, skip: str) -> list[Arm]:
    """Pick arms by the ends of their names.

    Args:
        arms: Those of a set; the first, uniform, always stays.
        letter: The set.
        only: Ends of names, separated by ``;``, to keep; all if empty. ``B:uniform``
            speaks of Set-B alone.
        skip: The same, to leave out.

    Returns:
        The arms kept.
    """

    def named(arm: Arm, ends: str) -> bool:
        return any(
            arm.name.endswith(end) and of in ("", letter)
            for of, _, end in (
                part.strip().rpartition(":") for part in ends.split(";") if part.strip()
            )
        )

    return [
        arm
        for place, arm in enumerate(arms)
        if not place or ((not only or named(arm, only)) and not named(arm, skip))
    ]
