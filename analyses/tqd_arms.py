"""What `tqd_tables.py` compares: the sets, and the samplers with their schedules.

Set-A is everything, Set-B the imbalanced clips, Set-C the golden ones (fewer), as in
the paper. The SANA-Video rule adds 1.1 to the logit of the level for clips that are
good in motion only, and takes 1.1 away for those good in appearance only (arXiv
2607.21553); it is written as a joint mixture of narrow cells, which the `mixture`
sampler draws from.
"""

from __future__ import annotations

import csv
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import logit
from scipy.stats import norm

from tqd_probe import probing
from tqd_probe.files import write_json
from tqd_probe.models.load import load_model
from tqd_probe.moments import joint_moments, level_moments
from tqd_probe.noise import logsnr
from tqd_probe.probing import Probe
from tqd_probe.results import derive_schedule, measure
from tqd_probe.schedule import BandSchedule
from tqd_probe.settings import RunSettings
from tqd_probe.subjects import subjects
from tqd_probe.weights import MixtureOptions, measure_mixture

SETS = {
    "A": ("golden", "visual_degraded", "motion_degraded"),
    "B": ("visual_degraded", "motion_degraded"),
    "C": ("golden",),
}
OFFSETS = {"golden": 0.0, "visual_degraded": 1.1, "motion_degraded": -1.1}
CELLS = 50  # of the SANA-Video rule


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


def measure_schedules(
    ckpt: str, work: Path, counts: dict[str, int], options: dict[str, Any]
) -> dict[str, Path]:
    """Probe a checkpoint once; derive bands, and mixtures for each set.

    Args:
        ckpt: The checkpoint.
        work: Folder of the probe and the schedules.
        counts: Clips of each class in Set-A.
        options: Settings of the probe.

    Returns:
        Schedule files: ``bands``, ``per-level A``, ``joint B`` and so on.
    """
    settings = RunSettings(ckpt=ckpt, out=work / "probe", **options)
    probe = probing.prepare(settings, quiet=True)
    try:
        probing.run(probe, quiet=True)
        result = measure(probe, ["tqd_tables"])
        found = {"bands": work / "bands.json"}
        derive_schedule(result).save(found["bands"])
        for letter, members in SETS.items():
            pool = {n: counts[n] if n in members else 0 for n in OFFSETS}
            for form in ("per-level", "joint"):
                path = work / f"{form}-{letter}.json"
                mixture = _mixture(probe, result, pool, form)
                derive_schedule(result | {"mixture": mixture}).save(path)
                found[f"{form} {letter}"] = path
    finally:
        probe.store.release()
    return found


def _mixture(
    probe: Probe, result: dict[str, Any], pool: dict[str, int], form: str
) -> dict[str, Any]:
    """Find the mixture for a pool, which may lack golden clips.

    The command line always gives golden clips the levels that are not resolved. A pool
    without any takes its classes there as they are pooled.
    """
    names = subjects(probe.degradations)
    detail = {str(each) for each in probe.degradations}
    classes = {"golden": [0]} | {k: v for k, v in names.items() if k not in detail}
    order = list(classes)
    whole = [probe.level(index).all_groups() for index in range(len(probe.sigmas))]
    resolved = np.array(result["golden"]["resolved"])
    joint = form == "joint"
    moments = (
        [joint_moments(whole, classes, {})]
        if joint
        else [level_moments(gram, classes, {}) for gram in whole]
    )
    settings = probe.settings
    pool = {name: pool.get(name, 0) for name in order}
    found = measure_mixture(
        order,
        probe.sigmas,
        resolved if pool["golden"] else np.ones_like(resolved),
        moments,
        MixtureOptions(form, pool, 0.0, 0.95, settings.seed, settings.shift),
    )
    if not pool["golden"]:
        clips = np.array([pool[name] for name in order], float)
        for row, (known, share) in enumerate(zip(resolved, found["level_density"])):
            if not known or share == 0:
                found["weights"][row] = (clips / clips.sum()).tolist()
        found["resolved"] = resolved.tolist()
    return found


def sana_schedule(ckpt: str, path: Path, counts: dict[str, int]) -> float:
    """Write the SANA-Video rule for a pool as a mixture schedule.

    Args:
        ckpt: The checkpoint that will be trained.
        path: The file.
        counts: Clips of each class in the set.

    Returns:
        Largest distance between the distribution function of a cell-wise class and the
        rule's own, at the edges of cells.
    """
    model = load_model(ckpt, "cpu")
    edges = np.arange(CELLS + 1) / CELLS
    levels = (edges[1:] + edges[:-1]) / 2
    names = list(OFFSETS)
    clips = np.array([counts.get(name, 0) for name in names], float)
    with np.errstate(divide="ignore"):
        at = norm.cdf(logit(edges)[:, None] - np.array(list(OFFSETS.values())))
    mass = np.diff(at, axis=0) * (clips / clips.sum())
    weights = mass / mass.sum(1, keepdims=True)
    density = mass.sum(1) / mass.sum()
    # What linear weights between levels make of each class, cell by cell.
    fine = (np.arange(CELLS * 20) + 0.5) / (CELLS * 20)
    drawn = np.stack([np.interp(fine, levels, w) for w in weights.T], 1)
    drawn *= np.repeat(density, 20)[:, None] / 20
    drawn = drawn.reshape(CELLS, 20, -1).sum(1)
    present = clips > 0
    gap = (drawn / drawn.sum(0).clip(1e-300)).cumsum(0) - at[1:]
    nothing = [None] * CELLS
    schedule = {
        "format": "tqd-band-schedule",
        "version": 1,
        "provenance": {"tool_version": "0", "argv": ["SANA-Video rule"], "seed": 0},
        "model": {
            "family": model.family, "source": ckpt, "fingerprint": model.fingerprint,
            "expert": None, "parameters": "all", "prediction": model.prediction,
        },
        "noise": {
            "axis": "sigma", "shift": 1.0, "levels": levels.tolist(),
            "logsnr": logsnr(levels).tolist(),
        },
        "criterion": {
            "name": "mixture", "cos_min": 0.9, "norm_range": [0.5, 2.0],
            "confidence": 0.95,
        },
        "golden": {
            "clips": 2, "draws": 1, "snr": nothing, "resolved": [False] * CELLS,
        },
        "classes": {},
        "mixture": {
            "classes": names,
            "pool": {name: int(count) for name, count in zip(names, clips)},
            "weights": weights.tolist(), "form": "joint",
            "level_density": density.tolist(),
        },
    }  # fmt: skip
    write_json(path, BandSchedule.model_validate(schedule).model_dump(
        mode="json", exclude_unset=True))  # fmt: skip
    return float(np.abs(gap[:, present]).max())


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

    On golden clips alone bands and the per-level mixture are uniform, and the
    SANA-Video rule is logit-normal: they are left out.

    Args:
        letter: The set.
        schedules: Files by name.

    Returns:
        The arms, uniform first.
    """
    arms = [Arm("uniform", "baseline", {"sampler": "uniform"})]
    arms.append(Arm("logit-normal", "hand-set", {"sampler": "logit_normal"}))
    for kappa in (4, 8, 16):
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
