"""NeMo Automodel: a run for each class, with the Beta that comes closest to its bands.

The trainer clamps ``sigma_min`` and ``sigma_max`` and does not draw again, so that a
range would pile draws up at its ends; a Beta has no range and is exact where the bands
are one.

``checkpoint.restore_from`` goes on with a run: it restores its steps, epochs, learning
rate and data loader with the weights (`recipes/base_recipe.py`, `load_checkpoint`; read
2026-08, 36044ad), so that a run chained by it would end where it begins. Runs are
therefore chained by their model: a folder of links to the pipeline, whose transformer
is the one that the last run has saved. Captions are files of JSON, as its preprocessing
reads them (`tools/diffusion/processors/caption_loaders.py`, ``sidecar``).
"""

from __future__ import annotations

import copy
from pathlib import Path
from shlex import quote

import numpy as np
import yaml
from scipy.optimize import minimize

from tqd_probe.core.errors import InputError
from tqd_probe.exporting.class_plan import ClassPlan
from tqd_probe.exporting.configuration_files import (
    Options,
    get_number,
    get_table,
    get_whole,
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
    if len(plans) > 1 and table.get("peft") is not None:
        raise InputError(
            f"{job.config}: peft: runs are chained by their models, and an adapter can"
            " only be resumed with the steps of its run; leave it out (full training),"
            " or give clips of one class"
        )
    classes, script, previous = [], ["#!/usr/bin/env bash", "set -e"], None
    lengths = run_lengths(table, plans, job)
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
        if plan.name in lengths:
            changed["step_scheduler"] = get_table(
                changed, "step_scheduler", job.config
            ) | {"max_steps": lengths[plan.name]}
        link_clips(plan.clips, folder / "data" / plan.name, as_json=True)
        set_places(changed, job, name, plan.name, len(plans) > 1)
        if previous is not None:
            start = job.out / "start" / name
            script += start_lines(str(model_source(model, job)), previous, start)
            changed["model"] = model | {"pretrained_model_name_or_path": str(start)}
        previous = job.out / "output" / name
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
        "one run per class, of the same epochs, each from the model of the last; golden"
        " at the end"
    )
    if flow.get("use_loss_weighting", True):
        shift = get_number(flow, "flow_shift", 3.0, job.config)
        said.append(f"the loss stays weighted by 1 + {shift:g} sigma")
    steps = [
        "python -m tools.diffusion.preprocessing_multiprocess video for each CLASS,"
        f" --video_dir {job.out}/data/CLASS --output_dir {job.out}/cache/CLASS",
        f"bash {quote(str(job.out / 'train.sh'))}, in the folder of Automodel",
    ]
    return Written(list(reversed(classes)), steps, said)


def run_lengths(
    table: Options, plans: list[ClassPlan], job: ExportJob
) -> dict[str, int]:
    """Return the steps that end the run of each class; none where epochs alone do.

    Raises:
        InputError: If there are too few for a class.
    """
    scheduler = get_table(table, "step_scheduler", job.config)
    if scheduler.get("max_steps") is None:
        return {}
    total = get_whole(scheduler, "max_steps", 1, job.config)
    counts = {plan.name: round(total * plan.share) for plan in plans}
    if min(counts.values()) < 1:
        raise InputError(
            f"{job.config}: step_scheduler.max_steps: {total} are too few for"
            f" {len(plans)} runs"
        )
    return counts


def model_source(model: Options, job: ExportJob) -> str:
    """Return the pipeline that is trained.

    Raises:
        InputError: If the recipe names none.
    """
    source = model.get("pretrained_model_name_or_path")
    if not isinstance(source, str) or not source:
        raise InputError(
            f"{job.config}: model.pretrained_model_name_or_path: missing; give a recipe"
        )
    return source


def start_lines(source: str, previous: Path, start: Path) -> list[str]:
    """Return the lines of the script that make the pipeline a run starts from.

    Args:
        source: The user's pipeline, a folder or a name on the hub.
        previous: Folder of the last run's checkpoints.
        start: The pipeline to be made.

    Returns:
        Lines of bash; ``LATEST`` is the trainer's own link to its last checkpoint.
    """
    saved = quote(str(previous / "LATEST" / "model" / "consolidated"))
    name, place = quote(source), quote(str(start))
    return [
        "",
        f"BASE=$([ -d {name} ] && realpath {name} || hf download {name})",
        f"mkdir -p {place}",
        f'ln -sfn "$BASE"/* {place}',
        f"ln -sfn {saved} {place}/transformer",
        f"test -f {place}/transformer/config.json",
    ]


def set_places(
    table: Options, job: ExportJob, name: str, clips: str, chained: bool
) -> None:
    """Set where a run reads and writes.

    Args:
        table: The recipe; changed here.
        job: The export.
        name: Name of the run.
        clips: Name of the class.
        chained: Whether there are several runs, which need each other's models.

    Raises:
        InputError: If the recipe has no data loader.
    """
    loader = get_table(get_table(table, "data", job.config), "dataloader", job.config)
    if not loader:
        raise InputError(f"{job.config}: data.dataloader: missing; give a recipe")
    loader["cache_dir"] = str(job.out / "cache" / clips)
    checkpoint = table["checkpoint"] = get_table(table, "checkpoint", job.config)
    checkpoint["checkpoint_dir"] = str(job.out / "output" / name)
    if chained:  # a transformer in the layout of diffusers, beside the last checkpoint
        checkpoint |= {
            "enabled": True,
            "model_save_format": "safetensors",
            "save_consolidated": "final",
            "diffusers_compatible": True,
            "restore_from": None,
        }


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
