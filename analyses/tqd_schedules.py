"""Schedules that `tqd_tables.py` trains by: measured ones, and the SANA-Video rule.

The SANA-Video rule adds 1.1 to the logit of the level for clips that are good in motion
only, and takes 1.1 away for those good in appearance only (arXiv 2607.21553); it is
written as a joint mixture of narrow cells, which the `mixture` sampler draws from.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import logit
from scipy.stats import norm
from tqd_arms import CLASSES, SETS

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

OFFSETS = {"golden": 0.0, "visual_degraded": 1.1, "motion_degraded": -1.1}
CELLS = 50  # of the SANA-Video rule


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
        flags = {"ckpt": ckpt, "out": work / "probe"} | options
        argv = [f"--{k.replace('_', '-')}={value}" for k, value in flags.items()]
        result = measure(probe, ["gradsim", *argv])
        write_json(work / "gradsim.json", result)
        found = {"bands": work / "bands.json"}
        derive_schedule(result).save(found["bands"])
        for letter, members in SETS.items():
            pool = {n: counts[n] if n in members else 0 for n in CLASSES}
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
