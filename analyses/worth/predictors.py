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
from tqd_probe.core.files import read_json
from tqd_probe.core.library_logging import silence_libraries
from tqd_probe.gradients.layout import Layout, make_layout
from tqd_probe.models.clip_encoder import default_cache
from tqd_probe.statistics.u_statistics import u_statistic
from tqd_probe.training.settings import TrainRunSettings

BAR, DELTA = 0.9, 0.03  # of the rule that admits
TENSORS = "mean over tensors"  # has no interval: admitted by the bar alone


def products(
    layout: Layout,
    own: torch.Tensor,
    other: torch.Tensor,
    by_metric: dict[str, torch.Tensor],
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Multiply gradients of golden clips and their copies with each other.

    Args:
        layout: The parameters.
        own: Golden gradients ``[N, P]``.
        other: The copies', same noise.
        by_metric: What gradients are multiplied by ``[P]``.

    Returns:
        Inner products ``[2N, 2N]``, golden clips first: by metric, and raw by
        parameter.
    """
    size = 2 * len(own)
    whole = {metric: np.zeros((size, size)) for metric in by_metric}
    single = {}
    for name, (a, b) in layout.parameters.items():
        part = torch.cat([own[:, a:b], other[:, a:b]])
        single[name] = (part @ part.T).double().numpy()
        for metric, factors in by_metric.items():
            scaled = part * factors[a:b]
            whole[metric] += (scaled @ scaled.T).double().numpy()
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
) -> float:
    """Add to every pair what each predictor says, and what the rule admits.

    Args:
        training: The checkpoint.
        pairs: With ``degradation`` and ``sigma``; changed in place: ``predicted`` and
            ``admitted`` by predictor, ``ci`` by metric; without `only` also ``excess``
            and ``left_out``.
        clips: Golden clips to measure with.
        only: Metrics to keep to; empty for all predictors.

    Returns:
        Seconds that a clip-gradient took.
    """
    layout = make_layout(training.model.network, {"all": list(training.parameters)})
    levels = sorted({pair["sigma"] for pair in pairs})
    names = sorted({pair["degradation"] for pair in pairs})
    batch = training.encode(PROBE, clips, None)
    spent = 0.0

    def gradients(some: Any, sigma: float) -> torch.Tensor:
        nonlocal spent
        began = time.process_time()
        found = training.gradients(some, sigma, PROBE)
        spent += time.process_time() - began
        return found

    golden = [gradients(batch, sigma) for sigma in tqdm(levels, "golden")]
    by_metric = scales(layout, golden)
    by_metric = {m: f for m, f in by_metric.items() if m in only or not only}
    at = {(pair["degradation"], pair["sigma"]): pair for pair in pairs}
    for name in tqdm(names, "degradations"):
        copies = training.encode(PROBE, clips, name)
        mine: list[dict[str, Any]] = [at.get((name, x), {}) for x in levels]
        found: list[dict[str, np.ndarray]] = []
        for pair, own, sigma in zip(mine, golden, levels):
            other = gradients(copies, sigma)
            whole, single = products(layout, own, other, by_metric)
            found.append(whole)
            pair["predicted"], pair["admitted"] = {}, {}
            if not only:
                mean, pair["left_out"] = mean_over_tensors(single)
                pair["predicted"][TENSORS] = mean
                pair["admitted"][TENSORS] = mean is not None and mean >= BAR
                pair["excess"] = excess_of(training, batch, copies, sigma)
        for metric in by_metric:
            statistics = [statistics_of_products(whole[metric]) for whole in found]
            use = admitted_levels(np.array(levels), statistics, DELTA)
            for pair, one, admitted in zip(mine, statistics, use):
                compared = one.compare([1])
                ends = (compared.cosine, *compared.cosine_ci)
                known = [float(x) if np.isfinite(x) else None for x in ends]
                pair["predicted"][metric] = known[0]
                pair["admitted"][metric] = bool(admitted)
                pair.setdefault("ci", {})[metric] = known[1:]
    return spent / (clips * len(levels) * (1 + len(names)))


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
    seconds = measure(training, pairs, args.probe_clips)
    result = {
        "set": f"{Path(args.start).name}, {source}",
        "pairs_left_out": others,
        "seconds_of_a_clip_gradient": seconds,
        "pairs": pairs,
    }
    write_results(command, args, result)


if __name__ == "__main__":
    run_script(main)
