"""Which number, known before training, says where degraded clips are as good as golden?

Decided beforehand in `protocol.md`: the predictors, the bar and what would change the
default. Shares of golden gain come from results of `similarity_worth.py` on pairs that
no predictor was chosen on. The rest is measured here, on its checkpoint and clips.

    python -m analyses.worth.predictors --start half --trained WORK --work DIR \
        --shares analyses/worth/results/unseen_half.json
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from analyses.results_file import run_script, study_parser, write_results
from analyses.worth.admitted_pairs import GOOD, admitted_levels
from analyses.worth.correlations import pair_statistics, spearman
from analyses.worth.linear_denoiser import excess
from analyses.worth.metric_forms import scales
from analyses.worth.short_training import RepeatedTraining
from analyses.worth.similarity_worth import PROBE
from analyses.worth.start_checkpoints import start_checkpoint
from tqd_probe.core.files import read_json
from tqd_probe.core.library_logging import silence_libraries
from tqd_probe.core.rng import stream
from tqd_probe.gradients.layout import Layout, make_layout
from tqd_probe.models.clip_encoder import default_cache
from tqd_probe.statistics.u_statistics import u_statistic
from tqd_probe.training.settings import TrainRunSettings

DELTA = 0.03  # of the rule that admits
BASE = "adam, factored"  # what the others are compared with
TENSORS = "mean over tensors"
VETO = 10.0  # excess of the linear denoiser over the golden gain
RESAMPLES = 2000


def mean_over_tensors(
    layout: Layout, own: torch.Tensor, other: torch.Tensor
) -> tuple[float, float]:
    """Average debiased cosines of single parameters, where golden ones are resolved.

    Args:
        layout: The parameters.
        own: Golden gradients ``[N, P]``.
        other: The copies', same clips and noise.

    Returns:
        The mean, and the share of parameters left out since ``U_gg <= 0``.
    """
    cosines = []
    for a, b in layout.parameters.values():
        products = pair_statistics(own[:, a:b], other[:, a:b]).products
        golden = u_statistic(products[0, :, 0])
        copies = u_statistic(products[1, :, 1])
        if golden > 0 and copies > 0:
            both = u_statistic(products[0, :, 1])
            cosines.append(both / np.sqrt(golden * copies))
    left_out = 1 - len(cosines) / len(layout.parameters)
    return float(np.mean(cosines)) if cosines else float("nan"), left_out


def measure(
    training: RepeatedTraining, pairs: list[dict[str, Any]], clips: int
) -> list[str]:
    """Add to every pair what each predictor says, and what the rule admits.

    Args:
        training: The checkpoint.
        pairs: With ``degradation`` and ``sigma``; changed in place: ``predicted`` and
            ``admitted`` by predictor, ``excess`` and ``left_out``.
        clips: Golden clips to measure with.

    Returns:
        The predictors.
    """
    layout = make_layout(training.model.network, {"all": list(training.parameters)})
    levels = sorted({pair["sigma"] for pair in pairs})
    batch = training.encode(PROBE, clips, None)
    golden = [training.gradients(batch, s, PROBE) for s in tqdm(levels, "golden")]
    by_metric = scales(layout, torch.cat(golden))
    at = {(pair["degradation"], pair["sigma"]): pair for pair in pairs}
    for name in tqdm(sorted({pair["degradation"] for pair in pairs}), "degradations"):
        copies = training.encode(PROBE, clips, name)
        others = [training.gradients(copies, s, PROBE) for s in levels]
        mine = [at.get((name, level), {}) for level in levels]  # not all count
        for metric, factors in by_metric.items():
            statistics = [
                pair_statistics(own * factors, other * factors)
                for own, other in zip(golden, others)
            ]
            use = admitted_levels(np.array(levels), statistics, DELTA)
            for pair, one, admitted in zip(mine, statistics, use):
                cosine = float(one.compare([1]).cosine)
                pair.setdefault("predicted", {})[metric] = cosine
                pair.setdefault("admitted", {})[metric] = bool(admitted)
        for pair, own, other in zip(mine, golden, others):
            mean, left_out = mean_over_tensors(layout, own, other)
            pair["predicted"][TENSORS] = mean
            pair["left_out"] = left_out
            pair["excess"] = excess(batch.latents, copies.latents, pair["sigma"])
    return [*by_metric, TENSORS]


def judge(pairs: list[dict[str, Any]], names: list[str]) -> dict[str, Any]:
    """Judge every predictor by the shares of golden gain.

    Args:
        pairs: As `measure` leaves them, with ``share`` and ``cluster``.
        names: The predictors.

    Returns:
        By predictor: correlation over all pairs and its mean inside a level, both with
        95 % intervals over clusters, and how much better than Adam's metric it ranks
        inside a level.
    """
    share = np.array([pair["share"] for pair in pairs])
    level = np.array([pair["sigma"] for pair in pairs])
    clusters = np.array([pair["cluster"] for pair in pairs])
    every, rng = np.unique(clusters), stream(0, "predictors")
    rows_of = {one: np.flatnonzero(clusters == one) for one in every}
    picked = [
        np.concatenate([rows_of[one] for one in rng.choice(every, len(every))])
        for _ in range(RESAMPLES)
    ]
    values = {
        name: np.array([pair["predicted"][name] for pair in pairs], float)
        for name in names
    }

    def inside(x: np.ndarray, rows: np.ndarray) -> float:
        found = [
            spearman(x[rows][level[rows] == one], share[rows][level[rows] == one])
            for one in np.unique(level)
        ]
        return float(np.nanmean(found))

    whole = np.arange(len(pairs))
    found, base = {}, [inside(values[BASE], rows) for rows in picked]
    for name, x in values.items():
        draws = [inside(x, rows) for rows in picked]
        over_all = [spearman(x[rows], share[rows]) for rows in picked]
        found[name] = {
            "spearman": spearman(x, share),
            "ci": _ends(over_all),
            "inside_a_level": inside(x, whole),
            "inside_a_level_ci": _ends(draws),
            "better_than_base": inside(x, whole) - inside(values[BASE], whole),
            "better_than_base_ci": _ends(np.subtract(draws, base).tolist()),
        }
    return found


def admissions(pairs: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Count the pairs that each rule admits, and good and harmful ones among them.

    Args:
        pairs: As `measure` leaves them, with ``share``, ``gain`` and early shares.

    Returns:
        Counts by metric; by Adam's metric with a veto of the linear denoiser; and with
        three and six steps of training that both bring half of the golden gain.
    """
    share = np.array([pair["share"] for pair in pairs])
    rules = {
        name: np.array([pair["admitted"][name] for pair in pairs])
        for name in pairs[0]["admitted"]
    }
    ratio = np.array([pair["excess"] / pair["gain"] for pair in pairs])
    for name in ("raw", BASE):
        rules[f"{name}, veto"] = rules[name] & (ratio < VETO)
    early = [[pair["share_at_3"], pair["share_at_6"]] for pair in pairs]
    certified = (np.nan_to_num(np.array(early, float), nan=-1.0) >= GOOD).all(1)
    rules[f"{BASE}, certificate"] = rules[BASE] & certified
    return {
        name: {
            "admitted": int(use.sum()),
            "good": int((use & (share >= GOOD)).sum()),
            "harmful": int((use & (share < 0)).sum()),
        }
        for name, use in rules.items()
    }


def known_pairs(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Read the pairs that count from results of `similarity_worth.py`.

    Args:
        path: The results.

    Returns:
        Pairs with what training achieved, and how many others there are.
    """
    result: Any = read_json(path, "results of similarity_worth.py")
    gains = dict(zip(result["levels"], (mean for mean, _, _ in result["golden_gain"])))
    look = "share of golden gain after look-ahead"
    pairs = [
        {
            "degradation": point["degradation"],
            "sigma": point["sigma"],
            "cluster": point["degradation"],
            "share": point["achieved"]["share of golden gain"],
            "share_at_3": point["share_at_half_of_look_ahead"],
            "share_at_6": point["predicted"][look],
            "gain": gains[point["sigma"]],
        }
        for point in result["points"]
        if point["used"]
    ]
    return pairs, len(result["points"]) - len(pairs)


def main() -> None:
    """Measure the predictors on one checkpoint, and judge them."""
    command = study_parser(__file__, __doc__)
    command.add_argument("--start", default="half", help="as for similarity_worth.py")
    command.add_argument("--trained", type=Path, help="--work of train.py")
    command.add_argument("--work", type=Path, required=True, help="folder")
    command.add_argument("--shares", type=Path, required=True, help="achieved shares")
    command.add_argument("--clips", type=int, default=24)
    args = command.parse_args()
    silence_libraries()
    pairs, others = known_pairs(args.shares)
    settings = TrainRunSettings(
        ckpt=start_checkpoint(args.start, args.work, args.trained),
        clips="synthetic",
        full=True,
        steps=1,
        out=args.work,
    )
    names = measure(RepeatedTraining(settings, default_cache()), pairs, args.clips)
    found, counts = judge(pairs, names), admissions(pairs)
    for name, one in found.items():
        print(name, {key: np.round(value, 3).tolist() for key, value in one.items()})
    for name, row in counts.items():
        print(name, row)
    result = {"pairs_left_out": others, "judged": found, "admitted": counts}
    write_results(command, args, {**result, "pairs": pairs}, args.results)


def _ends(draws: list[float]) -> list[float]:
    """Return a 95 % interval of bootstrap draws."""
    return np.nanquantile(draws, [0.025, 0.975]).tolist()


if __name__ == "__main__":
    run_script(main)
