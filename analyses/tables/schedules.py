"""Schedules that `compare_samplers.py` trains by: measured, and the SANA-Video rule.

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

from analyses.tables.cell_schedules import (
    CELLS,
    CENTRES,
    by_signal,
    by_worth,
    cells_schedule,
    gate_mass,
    in_bands,
    worth_curve,
)
from analyses.tables.clip_sets import CLASSES, SETS
from analyses.tables.controls import class_alone, permuted, same_density, trainable
from analyses.tables.densities import bands_on, densities
from analyses.tables.samplers import BARS
from tqd_probe.core.files import read_json
from tqd_probe.models.load import load_model
from tqd_probe.probing.compute_result import compute_result
from tqd_probe.probing.derive_schedule import derive_schedule
from tqd_probe.probing.result import ProbeResult
from tqd_probe.probing.run import captured_gradients
from tqd_probe.probing.settings import ProbeRunSettings
from tqd_probe.probing.workspace import Workspace
from tqd_probe.schedules.mixture_schema import Mixture
from tqd_probe.schedules.mixture_weights import MixtureOptions, solve_mixture

FLOOR = 0.25  # of a gate: share of clips accepted outside their bands
MIXTURES = (
    ("per-level", "per-level", 0.0),
    ("joint", "joint", 0.0),
    ("joint, floor", "joint", 0.2),
)
CONTROLS = (("same density", same_density), ("class alone", class_alone))
OFFSETS = {"golden": 0.0, "visual_degraded": 1.1, "motion_degraded": -1.1}


def measure_schedules(
    ckpt: str,
    work: Path,
    counts: dict[str, int],
    options: dict[str, Any],
    worth: Path,
    letters: list[str],
) -> dict[str, Path]:
    """Probe a checkpoint once; derive bands, gates and mixtures for each set.

    Args:
        ckpt: The checkpoint.
        work: Folder of the probe and the schedules.
        counts: Clips of each class in Set-A.
        options: Settings of the probe.
        worth: Results of `similarity_worth.py`, for the gate by worth.
        letters: The sets that are trained on.

    Returns:
        Schedule files: ``bands .90``, ``per-level A``, ``joint B`` and so on.
    """
    settings = ProbeRunSettings(ckpt=ckpt, out=work / "probe", **options)
    timesteps = load_model(ckpt, "cpu").timestep_levels
    known_worth = read_json(worth, "results of similarity_worth.py")
    curve = worth_curve(known_worth["points"])
    with captured_gradients(settings, progress=False) as probe:
        result = compute_result(probe)
        result.save(work / "gradsim.json")
        made = {}
        for name, bar in BARS.items():
            made[name] = derive_schedule(at_bar(result, bar))
            made[f"permuted, {name}"] = permuted(made[name])
        for letter in letters:
            pool = {n: counts[n] if n in SETS[letter] else 0 for n in CLASSES}
            for name, form, floor in MIXTURES:
                mixture = _mixture(probe, result, pool, form, floor)
                known = result.model_copy(update={"mixture": mixture})
                made[f"{name} {letter}"] = derive_schedule(known)
            for name in BARS if letter != "C" else ():  # uniform on golden clips alone
                for control, make in CONTROLS:
                    schedule = make(made[name], pool, timesteps)
                    made[f"{control}, {name} {letter}"] = schedule
            for name, density in densities(result, known_worth).items():
                mass = gate_mass({}, pool, 1.0, density)
                model = result.model.model_dump(mode="json")
                made[f"{name} {letter}"] = cells_schedule(model, pool, mass, name)
                if letter != "C":  # bands leave golden clips alone as they are
                    bands = made["bands .90"]
                    both = bands_on(bands, pool, density)
                    made[f"{name}, bands {letter}"] = (
                        cells_schedule(model, pool, both, f"{name}, bands")
                        if trainable(bands, pool)
                        else bands  # which a training refuses
                    )
            even, worths = np.ones(CELLS), by_worth(result, curve)
            for name, accept, floor, level in (
                ("floor", in_bands(made["bands .95"]), FLOOR, even),
                ("worth", worths, 0.0, even),
                ("worth, signal", worths, 0.0, by_signal(result)),
                ("signal", {}, 0.0, by_signal(result)),
            ):
                mass = gate_mass(accept, pool, floor, level)
                made[f"{name} {letter}"] = cells_schedule(
                    result.model.model_dump(mode="json"), pool, mass, f"gate {name}"
                )
    found = {name: work / f"{name.replace(' ', '-')}.json" for name in made}
    for name, schedule in made.items():
        schedule.save(found[name])
    return found


def at_bar(result: ProbeResult, cos_min: float) -> ProbeResult:
    """Return a result as ``--cos-min`` would give it."""
    settings = {**(result.provenance.settings or {}), "cos_min": cos_min}
    return result.model_copy(
        update={
            "criterion": result.criterion.model_copy(update={"cos_min": cos_min}),
            "provenance": result.provenance.model_copy(update={"settings": settings}),
        }
    )


def _mixture(
    probe: Workspace,
    result: ProbeResult,
    pool: dict[str, int],
    form: str,
    floor: float,
) -> Mixture:
    """Find the mixture for a pool, which may lack golden clips.

    The command line always gives golden clips the levels that are not resolved. A pool
    without any takes its classes there as they are pooled.
    """
    order = list(probe.classes)
    resolved = np.array(result.golden.resolved)
    moments = [probe.moments()]
    if form != "joint":
        levels = range(len(probe.sigmas))
        moments = [moments[0].of_level(level, len(order)) for level in levels]
    settings = probe.settings
    pool = {name: pool.get(name, 0) for name in order}
    found = solve_mixture(
        order,
        probe.sigmas,
        resolved if pool["golden"] else np.ones_like(resolved),
        moments,
        MixtureOptions(form, pool, floor, 0.95, settings.seed, settings.shift),
    )
    if not pool["golden"]:
        clips = np.array([pool[name] for name in order], float)
        for row, (known, share) in enumerate(zip(resolved, found["level_density"])):
            if not known or share == 0:
                found["weights"][row] = (clips / clips.sum()).tolist()
        found["resolved"] = resolved.tolist()
    return Mixture.model_validate(found)


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
    clips = np.array([counts.get(name, 0) for name in OFFSETS], float)
    with np.errstate(divide="ignore"):
        at = norm.cdf(logit(edges)[:, None] - np.array(list(OFFSETS.values())))
    mass = np.diff(at, axis=0) * (clips / clips.sum())
    schedule = cells_schedule(
        {
            "family": model.family,
            "source": ckpt,
            "fingerprint": model.fingerprint,
            "expert": None,
            "parameters": "all",
            "prediction": model.prediction,
        },
        {name: counts.get(name, 0) for name in OFFSETS},
        mass,
        "SANA-Video rule",
    )
    schedule.save(path)
    # What linear weights between levels make of each class, cell by cell.
    weights, density = mass / mass.sum(1, keepdims=True), mass.sum(1) / mass.sum()
    fine = (np.arange(CELLS * 20) + 0.5) / (CELLS * 20)
    drawn = np.stack([np.interp(fine, CENTRES, w) for w in weights.T], 1)
    drawn *= np.repeat(density, 20)[:, None] / 20
    drawn = drawn.reshape(CELLS, 20, -1).sum(1)
    present = clips > 0
    gap = (drawn / drawn.sum(0).clip(1e-300)).cumsum(0) - at[1:]
    return float(np.abs(gap[:, present]).max())
