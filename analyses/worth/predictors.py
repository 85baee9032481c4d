"""Which number, known before training, says where degraded clips are as good as golden?

Decided beforehand in `protocol.md`: the predictors, the bar and what would change the
default. Shares of golden gain come from results of `similarity_worth.py` on pairs that
no predictor was chosen on; what each predictor says is measured here, on the same
checkpoint and clips. `judge_predictors.py` judges, a set of pairs or several.

    python -m analyses.worth.predictors --start half --trained WORK --work DIR \
        --shares analyses/worth/results/unseen_half.json \
        --results analyses/worth/results/predictors_half.json
"""

from __future__ import annotations

import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from analyses.results_file import run_script, study_parser, write_results
from analyses.worth.admitted_pairs import admitted_levels
from analyses.worth.clip_collections import PROBE, ClipCollections
from analyses.worth.correlations import statistics_of_products
from analyses.worth.linear_denoiser import excess
from analyses.worth.metric_forms import scales
from analyses.worth.short_training import RepeatedTraining
from analyses.worth.start_checkpoints import start_checkpoint
from tqd_probe.core.errors import InputError
from tqd_probe.core.files import digest, read_json, write_json
from tqd_probe.core.library_logging import silence_libraries
from tqd_probe.gradients.layout import Layout, make_layout
from tqd_probe.models.clip_encoder import default_cache
from tqd_probe.statistics.u_statistics import u_statistic
from tqd_probe.training.settings import TrainRunSettings

BAR, DELTA = 0.9, 0.03  # of the rule that admits
TENSORS = "mean over tensors"  # has no interval: admitted by the bar alone
COLUMNS = 16384  # of gradients at a time: 24 clips fit into a core's cache
Products = tuple[dict[str, np.ndarray], dict[str, np.ndarray]]


def products_with(
    layout: Layout,
    left: torch.Tensor,
    rights: list[torch.Tensor],
    by_metric: dict[str, torch.Tensor],
) -> Products:
    """Multiply gradients with those of other clips, or with themselves.

    Args:
        layout: The parameters.
        left: Gradients ``[N, P]``.
        rights: Gradients ``[M, P]`` each.
        by_metric: What all gradients are multiplied by ``[P]``.

    Returns:
        Inner products ``[N, sum of M]``: by metric, and raw by parameter.
    """
    shape = len(left), sum(map(len, rights))
    whole = {metric: np.zeros(shape) for metric in by_metric}
    single = {name: np.zeros(shape) for name in layout.parameters}

    def multiply(some: torch.Tensor, start: int, stop: int) -> np.ndarray:
        parts = [some @ each[:, start:stop].T for each in rights]
        return torch.cat(parts, 1).double().numpy()

    for name, (first, end) in layout.parameters.items():
        for start in range(first, end, COLUMNS):
            stop = min(start + COLUMNS, end)
            part = left[:, start:stop]
            single[name] += multiply(part, start, stop)
            for metric, factors in by_metric.items():
                scaled = part * factors[start:stop].square()
                whole[metric] += multiply(scaled, start, stop)
    return whole, single


def products(
    layout: Layout,
    own: torch.Tensor,
    other: torch.Tensor,
    by_metric: dict[str, torch.Tensor],
    golden: Products,
) -> Products:
    """Multiply gradients of golden clips and their copies with each other.

    Args:
        layout: The parameters.
        own: Golden gradients ``[N, P]``.
        other: The copies', same noise.
        by_metric: What gradients are multiplied by ``[P]``.
        golden: Products ``[N, N]`` of golden gradients with themselves.

    Returns:
        Inner products ``[2N, 2N]``, golden clips first: by metric, and raw by
        parameter.
    """
    count = len(own)
    copies = products_with(layout, other, [own, other], by_metric)

    def joined(known: np.ndarray, lower: np.ndarray) -> np.ndarray:
        return np.block([[known, lower[:, :count].T], [lower]])

    whole, single = (
        {name: joined(known[name], lower[name]) for name in known}
        for known, lower in zip(golden, copies)
    )
    return whole, single


def mean_over_tensors(single: dict[str, np.ndarray]) -> tuple[float | None, float]:
    """Average debiased cosines of single parameters, where golden ones are resolved.

    Args:
        single: Inner products ``[2N, 2N]`` by parameter, golden clips first.

    Returns:
        The mean, and the share of parameters left out since ``U_gg <= 0``.
    """
    cosines = []
    for gram in single.values():
        n = len(gram) // 2
        golden, copies = u_statistic(gram[:n, :n]), u_statistic(gram[n:, n:])
        if golden > 0 and copies > 0:
            cosines.append(u_statistic(gram[:n, n:]) / np.sqrt(golden * copies))
    left_out = 1 - len(cosines) / len(single)
    return float(np.mean(cosines)) if cosines else None, left_out


def measure(
    training: RepeatedTraining,
    pairs: list[dict[str, Any]],
    clips: int,
    only: tuple[str, ...] = (),
    folder: Path | None = None,
) -> float:
    """Add to every pair what each predictor says, and what the rule admits.

    Args:
        training: The checkpoint.
        pairs: With ``degradation`` and ``sigma``; changed in place: ``predicted`` and
            ``admitted`` by predictor, ``ci`` by metric; without `only` also ``excess``
            and ``left_out``.
        clips: Golden clips to measure with.
        only: Metrics to keep to; empty for all predictors.
        folder: Keeps every degradation that is done, to go on after a kill.

    Returns:
        Seconds that a clip-gradient took.
    """
    layout = make_layout(training.model.network, {"all": list(training.parameters)})
    levels = sorted({pair["sigma"] for pair in pairs})
    names = sorted({pair["degradation"] for pair in pairs})
    batch = training.encode(PROBE, clips, None)
    seconds = []

    def gradients(some: Any, sigma: float) -> torch.Tensor:
        began = time.process_time()
        found = training.gradients(some, sigma, PROBE)
        seconds.append((time.process_time() - began) / clips)
        return found

    golden = [gradients(batch, sigma) for sigma in tqdm(levels, "golden")]
    by_metric = scales(layout, golden)
    by_metric = {m: f for m, f in by_metric.items() if m in only or not only}
    squares = [products_with(layout, own, [own], by_metric) for own in golden]

    def judged(name: str) -> list[dict[str, Any]]:
        copies = training.encode(PROBE, clips, name)
        found = []
        said: list[dict[str, Any]] = []
        for own, square, sigma in zip(golden, squares, levels):
            other = gradients(copies, sigma)
            whole, single = products(layout, own, other, by_metric, square)
            found.append(whole)
            one: dict[str, Any] = {"predicted": {}, "admitted": {}}
            if not only:
                mean, one["left_out"] = mean_over_tensors(single)
                one["predicted"][TENSORS] = mean
                one["admitted"][TENSORS] = mean is not None and mean >= BAR
                one["excess"] = excess_of(training, batch, copies, sigma)
            said.append(one)
        for metric in by_metric:
            statistics = [statistics_of_products(whole[metric]) for whole in found]
            use = admitted_levels(np.array(levels), statistics, DELTA)
            for one, each, admitted in zip(said, statistics, use):
                compared = each.compare([1])
                ends = (compared.cosine, *compared.cosine_ci)
                known = [float(x) if np.isfinite(x) else None for x in ends]
                one["predicted"][metric] = known[0]
                one["admitted"][metric] = bool(admitted)
                one.setdefault("ci", {})[metric] = known[1:]
        return said

    at = {(pair["degradation"], pair["sigma"]): pair for pair in pairs}
    for name in tqdm(names, "degradations"):
        kept = folder / f"{name.replace(':', '-')}.json" if folder else None
        if kept is not None and kept.exists():
            said: Any = read_json(kept, "a finished part of the study")
        else:
            said = judged(name)
            if kept is not None:
                kept.parent.mkdir(parents=True, exist_ok=True)
                write_json(kept, said)
        for sigma, one in zip(levels, said):
            at.get((name, sigma), {}).update(one)
    return float(np.mean(seconds))


def excess_of(training: RepeatedTraining, own: Any, other: Any, sigma: float) -> float:
    """Return what golden clips lose by the copies' linear denoiser, in loss.

    Args:
        training: The checkpoint.
        own: Golden clips, encoded.
        other: Their copies.
        sigma: Noise level.

    Returns:
        Mean squared error in the network's own target.
    """
    if training.model.family != "cogvideox":
        return excess(own.latents, other.latents, sigma)
    # Its latents have frames before channels; an error of x0 counts 1 / (1 - abar)
    # times, and 1 - abar is sigma^2 over sigma^2 + (1 - sigma)^2.
    golden, copies = (each.latents.transpose(1, 2) for each in (own, other))
    return excess(golden, copies, sigma) * (sigma**2 + (1 - sigma) ** 2)


def known_pairs(path: Path) -> tuple[list[dict[str, Any]], int, dict[str, Any]]:
    """Read the pairs that count from results of `similarity_worth.py`.

    Args:
        path: The results.

    Returns:
        Pairs with what training achieved, how many others there are, and the results.
    """
    result: Any = read_json(path, "results of similarity_worth.py")
    gains = dict(zip(result["levels"], (mean for mean, _, _ in result["golden_gain"])))
    look = "share of golden gain after look-ahead"
    pairs = [
        {
            "degradation": point["degradation"],
            "sigma": point["sigma"],
            "share": point["achieved"]["share of golden gain"],
            "share_ci": point["share_ci"],
            "share_at_3": point["share_at_half_of_look_ahead"],
            "share_at_6": point["predicted"][look],
            "gain": gains[point["sigma"]],
        }
        for point in result["points"]
        if point["used"]
    ]
    return pairs, len(result["points"]) - len(pairs), result


def open_training(args: Any, ckpt: str, shape: Any = None) -> RepeatedTraining:
    """Load the checkpoint that predictors are measured on.

    Args:
        args: With ``clips`` and ``work``.
        ckpt: The checkpoint.
        shape: Shape of the clips; None: the checkpoint's own.

    Returns:
        The checkpoint, all of its weights trainable.
    """
    settings = TrainRunSettings(
        ckpt=ckpt, clips="synthetic", full=True, steps=1, out=args.work
    )
    return RepeatedTraining(settings, default_cache(), args.clips, shape)


def checkpoint_parser(script: str, description: str | None) -> ArgumentParser:
    """Return the command line of a study of one checkpoint and source of clips.

    Args:
        script: ``__file__`` of the script.
        description: ``__doc__`` of the script.

    Returns:
        The parser.
    """
    command = study_parser(script, description)
    command.add_argument("--start", default="half", help="as for similarity_worth.py")
    command.add_argument("--trained", type=Path, help="--work of train.py")
    command.add_argument("--clips", default="synthetic", help="as similarity_worth.py")
    command.add_argument("--work", type=Path, required=True, help="folder")
    command.add_argument("--probe-clips", type=int, default=24)
    return command


def main() -> None:
    """Measure the predictors on one checkpoint and source of clips."""
    command = checkpoint_parser(__file__, __doc__)
    command.add_argument("--shares", type=Path, required=True, help="achieved shares")
    args = command.parse_args()
    silence_libraries()
    pairs, others, shares = known_pairs(args.shares)
    source = ClipCollections(args.clips).name
    for kind, given in (("start", Path(args.start).name), ("clips", source)):
        if shares.get(kind, given) != given:
            raise InputError(
                f"--{kind} {given}: {args.shares} is of {shares[kind]}; give the same"
            )
    training = open_training(
        args, start_checkpoint(args.start, args.work, args.trained)
    )
    levels = sorted({pair["sigma"] for pair in pairs})
    key = digest([training.model.fingerprint, source, args.probe_clips, levels])
    folder = args.work / f"predictors-{key[-12:]}"
    seconds = measure(training, pairs, args.probe_clips, folder=folder)
    result = {
        "set": f"{Path(args.start).name}, {source}",
        "pairs_left_out": others,
        "seconds_of_a_clip_gradient": seconds,
        "pairs": pairs,
    }
    write_results(command, args, result)


if __name__ == "__main__":
    run_script(main)
