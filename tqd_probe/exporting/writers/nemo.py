"""NeMo Automodel: a run for each class, with the Beta that comes closest to its bands.

The trainer clamps ``sigma_min`` and ``sigma_max`` and does not draw again, so that a
range would pile draws up at its ends; a Beta has no range and is exact where the bands
are one. Runs are chained by ``checkpoint.restore_from``.
"""

from __future__ import annotations

import copy
from pathlib import Path
from shlex import quote

import numpy as np
import yaml
from scipy.optimize import minimize

from tqd_probe.core.errors import InputError
from tqd_probe.exporting.configuration_files import (
    Options,
    get_number,
    get_table,
    read_configuration,
)
from tqd_probe.exporting.level_distribution import (
    COARSE,
    LevelDistribution,
    beta,
)
from tqd_probe.exporting.nemo import clamp_ends, drawn_levels
from tqd_probe.exporting.writers.class_folders import link_clips
from tqd_probe.exporting.writers.export_job import (
    ExportJob,
    Written,
    WrittenClass,
    WrittenPart,
    is_whole,
    left_out_text,
)


def write(job: ExportJob, folder: Path) -> Written:
    """Write data sets, recipes and the chain; see `ExportJob` and `Written`."""
    table = read_configuration(job.config)
    flow = get_table(table, "flow_matching", job.config)
    model = get_table(table, "model", job.config)
    if model.get("stage") is not None:
        raise InputError(
            f"{job.config}: model.stage: clamps sigma to its side of the boundary, so"
            " that draws pile up there whatever the density; bands cannot be carried"
        )
    if clamp_ends(flow, model, job.config) != (0.0, 1.0):
        raise InputError(
            f"{job.config}: flow_matching.sigma_min, sigma_max: clamp and do not draw"
            " again; set them to 0 and 1"
        )
    base, _ = drawn_levels(flow, job.config)
    plans, left_out = job.plan(base, None)
    classes, script, previous = [], ["#!/usr/bin/env bash", "set -e"], None
    for number, plan in enumerate(reversed(plans), 1):
        name = f"{number}-{plan.name}"
        changed = copy.deepcopy(table)
        if not is_whole(plan.bands):
            alpha, beta_ = closest_beta(plan.wanted)
            changed["flow_matching"] = flow | {
                "timestep_sampling": "beta",
                "use_sigma_noise": True,
                "beta_alpha": alpha,
                "beta_beta": beta_,
            }
        link_clips(plan.clips, folder / "data" / plan.name)
        set_places(changed, job, name, plan.name, previous)
        previous = str(job.out / "output" / name)
        text = yaml.safe_dump(changed, sort_keys=False, allow_unicode=True)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        script.append(
            "torchrun --nproc-per-node=8 examples/diffusion/finetune/finetune.py -c"
            f" {quote(f'{job.out / name}.yaml')}"
        )
        part = WrittenPart(f"{name}.yaml", "all data sets")
        classes.append(WrittenClass(plan, None, [part]))
    (folder / "train.sh").write_text("\n".join(script) + "\n", encoding="utf-8")
    said = left_out_text(left_out)
    said.append(
        "one run per class, of the same epochs, each from the checkpoint of the last;"
        " golden at the end"
    )
    if flow.get("use_loss_weighting", True):
        shift = get_number(flow, "flow_shift", 3.0, job.config)
        said.append(f"the loss stays weighted by 1 + {shift:g} sigma")
    steps = [
        f"preprocess each {job.out}/data/CLASS into {job.out}/cache/CLASS"
        " (tools/diffusion)",
        f"bash {quote(str(job.out / 'train.sh'))}, in the folder of Automodel",
    ]
    return Written(list(reversed(classes)), steps, said)


def set_places(
    table: Options, job: ExportJob, name: str, clips: str, previous: str | None
) -> None:
    """Set where a run reads and writes.

    Raises:
        InputError: If the recipe has no data loader.
    """
    loader = get_table(get_table(table, "data", job.config), "dataloader", job.config)
    if not loader:
        raise InputError(f"{job.config}: data.dataloader: missing; give a recipe")
    loader["cache_dir"] = str(job.out / "cache" / clips)
    checkpoint = table["checkpoint"] = get_table(table, "checkpoint", job.config)
    checkpoint["checkpoint_dir"] = str(job.out / "output" / name)
    if previous is not None:
        checkpoint["restore_from"] = previous


def closest_beta(wanted: LevelDistribution) -> tuple[float, float]:
    """Return the Beta whose levels are closest to the wanted ones.

    Args:
        wanted: The levels wanted.

    Returns:
        alpha and beta that minimise the Kolmogorov-Smirnov distance, from the Beta of
        the same mean and variance on.
    """
    reached = wanted.cdf(COARSE)
    middle, weight = (COARSE[1:] + COARSE[:-1]) / 2, np.diff(reached)
    mean = float((middle * weight).sum())
    variance = float(((middle - mean) ** 2 * weight).sum())
    total = max(mean * (1 - mean) / max(variance, 1e-6) - 1, 0.1)
    start = np.log([max(mean * total, 1e-2), max((1 - mean) * total, 1e-2)])

    def distance(logs: np.ndarray) -> float:
        alpha, other = np.exp(np.clip(logs, -6, 8))
        drawn = beta(float(alpha), float(other)).cdf(COARSE)
        return float(np.abs(drawn - reached).max())

    found = minimize(
        distance, start, method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-4}
    )
    alpha, other = np.exp(np.clip(found.x, -6, 8))
    return round(float(alpha), 4), round(float(other), 4)
