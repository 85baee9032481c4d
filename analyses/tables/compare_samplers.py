"""TQD against baselines: Set-A, Set-B, Set-C x samplers, at equal steps, over seeds.

From a start checkpoint every sampler trains on every set for the same steps with the
same seeds; all are judged on the same held-out golden clips, levels and noise (paired),
and by clips generated from their captions. A finished trial is one small file, so that
a killed run goes on where it was.

    python -m analyses.tables.compare_samplers --start half --trained WORK --work DIR
    python -m analyses.tables.compare_samplers --start scratch --work DIR
    python -m figures.compare_samplers
"""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from analyses.finished_probe import FinishedProbe
from analyses.results_file import run_script, script_parser, write_results
from analyses.tables.ablations import ablations_of
from analyses.tables.clip_sets import SETS, make_sets
from analyses.tables.comparison import compare_trials, cost
from analyses.tables.generated_clips import statistics
from analyses.tables.samplers import (
    CONTROLLED,
    ComparedSampler,
    carried_samplers,
    samplers_of,
    select,
)
from analyses.tables.schedules import measure_schedules, sana_schedule
from analyses.worth.start_checkpoints import start_checkpoint
from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.core.clip_classes import LEAST_CLIPS
from tqd_probe.core.errors import InputError
from tqd_probe.core.files import digest, file_digest, read_json, write_json
from tqd_probe.core.jsonl import read_jsonl
from tqd_probe.core.library_logging import silence_libraries
from tqd_probe.models.load import load_model
from tqd_probe.training.settings import TrainRunSettings
from tqd_probe.training.train import train

WORTH = Path(__file__).parents[1] / "worth/results/similarity_worth_half.json"
HELD_OUT_SEED = 1  # `train` opens validation clips with clips_seed + 1


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = script_parser(__file__, __doc__)
    made.add_argument(
        "--start", default="half", help="tiny, half, wide-half, scratch, wide or a path"
    )
    made.add_argument(
        "--trained", type=Path, help="--work of train.py, for half and wide-half"
    )
    made.add_argument("--sets", default="A,B,C")
    made.add_argument(
        "--skip",
        default="",
        help="samplers to leave out, by the ends of their names: 'kappa_max 4;normal';"
        " 'A:normal' speaks of Set-A alone",
    )
    made.add_argument(
        "--candidate",
        default="gate by worth, signal",
        help="measured sampler that the goal is judged by, chosen before the trials",
    )
    made.add_argument("--only", default="", help="samplers to keep, beside uniform")
    made.add_argument(
        "--measured-on",
        default="start",
        help="checkpoints schedules are measured on, as --start; with others than the"
        " first a few samplers more are tried",
    )
    made.add_argument(
        "--worth",
        type=Path,
        default=WORTH,
        help="results of similarity_worth.py, for the gate by worth",
    )
    made.add_argument("--golden", type=int, default=24, help="golden clips of Set-A")
    made.add_argument("--visual", type=int, default=72, help="clips good in motion")
    made.add_argument("--motion", type=int, default=72, help="good in appearance")
    made.add_argument(
        "--least-severity", type=int, default=4, help="of degraded clips, to 5"
    )
    made.add_argument("--steps", type=int, default=120, help="of every training")
    made.add_argument("--batch-size", type=int, default=8)
    made.add_argument("--lr", type=float, default=5e-4)
    made.add_argument("--seeds", type=int, default=5)
    made.add_argument(
        "--few", default="", help="samplers that get --few-seeds seeds; as --skip"
    )
    made.add_argument("--few-seeds", type=int, default=3)
    made.add_argument("--first-seed", type=int, default=0, help="of the trainings")
    made.add_argument("--held-out", type=int, default=24, help="clips to judge by")
    made.add_argument(
        "--generated", type=int, default=8, help="clips generated a trial; 0: none"
    )
    made.add_argument(
        "--validations", type=int, default=3, help="per training, evenly spaced"
    )
    made.add_argument(
        "--ablations", default="", help="sets on which parts of TQD are also tried: A"
    )
    made.add_argument(
        "--remeasure",
        type=int,
        default=60,
        help="ablations: steps between measurements of the bands; 0: leave this out",
    )
    made.add_argument("--sample-steps", type=int, default=8)
    made.add_argument("--probe-clips", type=int, default=24)
    made.add_argument("--probe-draws", type=int, default=1)
    made.add_argument("--probe-levels", default="8")
    made.add_argument("--metric", default="raw", help="of the cosines: raw, adam")
    made.add_argument(
        "--degradations", help="probed; without it, those of the sets at their severity"
    )
    made.add_argument(
        "--controls-of", default=CONTROLLED, help="bands that controls are made of"
    )
    made.add_argument("--work", type=Path, required=True, help="folder; resumes")
    made.add_argument("--results", type=Path, help="file to write")
    return made


def trial(
    sampler: ComparedSampler,
    clips: Path,
    ckpt: str,
    number: int,
    args: argparse.Namespace,
    work: Path,
) -> dict[str, Any]:
    """Train once and judge.

    Args:
        sampler: How levels are sampled.
        clips: Manifest of the set.
        ckpt: The start.
        number: The seed.
        args: The options.
        work: Folder of this training, removed afterwards.

    Returns:
        Golden losses ``[clips][buckets]`` before and after, where draws fell, and the
        statistics of generated clips; or why the sampler cannot train on this set.
    """
    shutil.rmtree(work, ignore_errors=True)
    options = {"clips": str(clips)} | sampler.options
    settings = TrainRunSettings(
        ckpt=ckpt,
        clips_seed=HELD_OUT_SEED - 1,
        full=True,
        steps=args.steps,
        warmup=max(1, args.steps // 20),
        batch_size=args.batch_size,
        micro_batch=args.batch_size,
        lr=args.lr,
        seed=number,
        validation=f"synthetic:{args.held_out}",
        validate_clips=args.held_out,
        validate_every=-(-args.steps // args.validations),
        save_every=args.steps,
        log_every=args.steps,
        keep=1,
        report_to="none",
        device="cpu",
        out=work,
        allow_model_mismatch=args.measured_on not in ("start", args.start),
        **options,
    )
    try:
        done = train(settings, quiet=True, figures=False)
    except InputError as error:
        shutil.rmtree(work, ignore_errors=True)
        return {"refused": str(error)}
    if done.stopped_by:
        raise SystemExit(128 + done.stopped_by)
    rows = read_jsonl(work / "validation_losses.jsonl")
    found = {
        "before": rows[0]["losses"],
        "after": rows[-1]["losses"],
        "curve": [[row["step"], float(np.mean(row["losses"]))] for row in rows],
        "draws": read_json(work / "density.json", "a density")["counts"],
    }
    if args.generated:
        model = load_model(str(done.weights), "cpu")
        captions = [
            synthetic_clip(index, HELD_OUT_SEED).caption
            for index in range(args.generated)
        ]
        model.network.eval()
        with torch.no_grad():
            videos = model.sample(
                captions, seed=number, steps=args.sample_steps, guidance=3.0
            )
        found["generated"] = statistics(videos, model.native.fps)
    shutil.rmtree(work, ignore_errors=True)
    return found


def _schedules(
    args: argparse.Namespace, ckpt: str, sizes: dict[str, int], probe: dict[str, Any]
) -> tuple[dict[str, dict[str, Path]], list[Path], dict[str, float]]:
    """Measure schedules on every checkpoint asked for, once.

    Args:
        args: The options.
        ckpt: The start.
        sizes: Clips of each class in Set-A.
        probe: Settings of the probe.

    Returns:
        Files by checkpoint and name; the folders; distances of the SANA-Video rule.
    """
    schedules, places, errors = {}, [], {}
    for name in args.measured_on.split(","):
        own = name in ("start", args.start)
        other = ckpt if own else start_checkpoint(name, args.work, args.trained)
        mark = load_model(other, "cpu").fingerprint
        # A schedule belongs to the weights, the pool, the probe and the worth curve.
        key = digest([mark, sizes, probe, file_digest(args.worth)])[-12:]
        places.append(args.work / f"schedules-{key}")
        letters = args.sets.split(",")
        found = measure_schedules(other, places[-1], sizes, probe, args.worth, letters)
        for letter in {"A", "B"} & set(letters):
            path = places[-1] / f"SANA-{letter}-{Path(ckpt).name}.json"
            counts = {each: sizes[each] for each in SETS[letter]}
            errors[letter] = sana_schedule(ckpt, path, counts)
            found[f"SANA {letter}"] = path
        schedules[name] = found
    return schedules, places, errors


def _passes(folder: Path) -> int:
    """Return how many clip-gradients the probe of a folder took."""
    probe = FinishedProbe(folder)
    versions = 1 + len(probe.degradations)
    return probe.clips * probe.result.clips.draws * versions * len(probe.levels)


def main() -> None:
    """Make sets and schedules, run every trial, judge."""
    command = parser()
    args = command.parse_args()
    silence_libraries()
    began = time.time()
    if not args.worth.exists():
        raise InputError(f"--worth {args.worth}: no such file; run similarity_worth.py")
    ckpt = start_checkpoint(args.start, args.work, args.trained)
    fingerprint = load_model(ckpt, "cpu").fingerprint
    sizes = {"golden": args.golden, "visual_degraded": args.visual}
    sizes |= {"motion_degraded": args.motion}
    pool = (args.golden, args.visual, args.motion, args.least_severity)
    folder = args.work / f"clips-{'-'.join(map(str, pool))}"
    manifests = make_sets(folder, *pool)
    middle = (args.least_severity + 5) // 2
    probe = {
        "num_clips": args.probe_clips,
        "least_clips": min(args.probe_clips, LEAST_CLIPS),  # few in a trial of this
        "draws": args.probe_draws,
        "levels": args.probe_levels,
        "seed": 4000,
        "metric": args.metric,
        "degradations": args.degradations
        or f"blur:{middle},noise:{middle},downscale:{middle}"
        + "".join(f",freeze:{severity}" for severity in sorted({middle, 5})),
    }
    schedules, places, errors = _schedules(args, ckpt, sizes, probe)
    kept = ("work", "results", "trained", "seeds", "first_seed", "sets", "ablations")
    kept += ("skip", "only", "worth", "candidate", "few", "few_seeds")
    options = {k: v for k, v in vars(args).items() if k not in kept}
    mark = digest([options, fingerprint, [place.name for place in places]])
    trials = args.work / f"trials-{mark[-12:]}"
    trials.mkdir(parents=True, exist_ok=True)
    main_place, *others = args.measured_on.split(",")
    jobs, every = [], []
    for letter in args.sets.split(","):
        samplers = samplers_of(letter, schedules[main_place], args.controls_of)
        for place in others if letter != "C" else ():
            samplers += carried_samplers(letter, schedules[place], place)
        if letter in args.ablations.split(","):
            own = schedules[main_place]
            samplers += ablations_of(manifests[letter], own, args.remeasure, letter)
        every += samplers
        some = select(samplers, letter, args.only, args.skip)
        few = select(some, letter, args.few, "")[1:] if args.few else []
        jobs += [
            (args.first_seed + number, letter, sampler)
            for sampler in some
            for number in range(args.few_seeds if sampler in few else args.seeds)
        ]
    for part in filter(None, args.only.split(";")):
        end = part.rpartition(":")[2].strip()
        if not any(sampler.name.endswith(end) for sampler in every):
            names = sorted({sampler.name for sampler in every})
            raise InputError(
                f"--only {part}: no sampler's name ends so; known: {names}"
            )
    jobs.sort(key=lambda job: job[0])  # every sampler of a seed before the next seed
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    kinds: dict[str, str] = {}
    for number, letter, sampler in tqdm(jobs, desc="trials", unit="trial"):
        name = f"{letter}-{sampler.name}-{number}".replace(" ", "_").replace(",", "")
        name = name.replace("/", "_")
        path = trials / f"{name}.json"
        if not path.exists():
            clips, work = manifests[letter], trials / f".{name}"
            write_json(path, trial(sampler, clips, ckpt, number, args, work))
        one = read_json(path, "a finished trial")
        found.setdefault(letter, {}).setdefault(sampler.name, []).append(one)
        kinds[sampler.name] = sampler.kind
    golden = np.stack(
        [
            synthetic_clip(index, HELD_OUT_SEED + 1).read(load_model(ckpt).native)
            for index in range(max(args.generated, 2))
        ]
    )
    result = {
        "seconds_of_this_call": round(time.time() - began),
        "start": args.start,
        "steps": args.steps,
        "sets": {k: {n: sizes[n] for n in SETS[k]} for k in args.sets.split(",")},
        "sana_rule_distance": errors,
        "cost": cost(found, kinds, args.batch_size, _passes(places[0])),
        **compare_trials(
            found,
            kinds,
            statistics(golden, load_model(ckpt).native.fps),
            args.candidate,
        ),
    }
    print(result["table"], result["candidate_table"], sep="\n\n")
    name = f"compare_samplers_{Path(args.start).name}.json"
    path = args.results or Path(__file__).parent / "results" / name
    write_results(command, args, result, path)


if __name__ == "__main__":
    run_script(main)
