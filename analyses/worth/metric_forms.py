"""Does a metric of factored second moments rank pairs as well as one of full moments?

70 pairs of degradation and noise level whose share of golden gain is known
(`results/shares_of_70_pairs.json`), ranked by the debiased cosine at `tiny` in five
metrics: raw, and Adam's and Fisher's with full and with factored moments. The plan
stands in the README and was written before the run.

    python -m analyses.worth.metric_forms
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from analyses.results_file import run_script, study_parser, write_results
from analyses.worth.clip_collections import PROBE
from analyses.worth.correlations import cosine_of, spearman
from analyses.worth.short_training import RepeatedTraining
from tqd_probe.core.files import read_json
from tqd_probe.core.library_logging import silence_libraries
from tqd_probe.core.rng import stream
from tqd_probe.gradients.layout import Layout, make_layout
from tqd_probe.gradients.metric import POWERS, factored_metric, full_metric
from tqd_probe.gradients.second_moments import factored_squares
from tqd_probe.models.clip_encoder import default_cache
from tqd_probe.training.settings import TrainRunSettings

SHARES = Path(__file__).parent / "results" / "shares_of_70_pairs.json"
CPU = torch.device("cpu")
RESAMPLES = 2000
BAR = 0.02  # of the correlation: factored moments may rank worse by this


def scales(layout: Layout, golden: Iterable[torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return what gradients are multiplied by, by metric.

    Args:
        layout: The parameters.
        golden: Golden gradients ``[N, size]`` of each level; one at a time, since all
            of 18 million parameters do not fit into memory twice.

    Returns:
        Factors ``[size]`` by metric.
    """
    squares, count = torch.zeros(layout.size, dtype=torch.float64), 0
    for level in golden:
        squares += level.square().sum(0, dtype=torch.float64)
        count += len(level)
    squares /= count
    sides = torch.cat(
        [
            factored_squares(squares[a:b].sqrt()[None], layout.shapes[name])[0]
            for name, (a, b) in layout.parameters.items()
        ]
    )
    found = {"raw": torch.ones(layout.size)}
    for name, power in POWERS.items():
        found[f"{name}, full"] = full_metric(layout, squares, power, CPU).scale
        metric = factored_metric(layout, sides, power, CPU)
        parts = [metric.entry_factors(each) for each in layout.parameters]
        found[f"{name}, factored"] = torch.from_numpy(np.concatenate(parts))
    return found


def ratios(by_metric: dict[str, torch.Tensor]) -> dict[str, list[float]]:
    """Return quantiles of s with factored over s with full moments, over entries."""
    ratio = (by_metric["fisher, full"] / by_metric["fisher, factored"]).double().numpy()
    places = [0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99]
    return {"quantiles": places, "ratio": np.quantile(ratio, places).tolist()}


def correlations(
    rows: list[dict[str, Any]], names: list[str]
) -> dict[str, dict[str, Any]]:
    """Correlate every metric's cosine with the share of golden gain.

    Args:
        rows: Pairs, with ``share`` and a cosine by metric.
        names: The metrics.

    Returns:
        Spearman's correlation, its interval over degradations, its mean inside a
        level, and how much factored moments are better than full ones.
    """
    share = np.array([row["share"] for row in rows])
    cosine = {n: np.array([row["cosine"][n] for row in rows], float) for n in names}
    kinds = np.array([row["degradation"] for row in rows])
    levels = np.array([row["sigma"] for row in rows])
    every, rng = np.unique(kinds), stream(0, "metric-forms")
    draws: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(RESAMPLES):
        picked = rng.choice(every, len(every))
        some = np.concatenate([np.flatnonzero(kinds == kind) for kind in picked])
        for name in names:
            draws[name].append(spearman(cosine[name][some], share[some]))
    found = {}
    for name in names:
        inside = [
            spearman(cosine[name][levels == one], share[levels == one])
            for one in np.unique(levels)
        ]
        found[name] = {
            "spearman": spearman(cosine[name], share),
            "ci": np.quantile(draws[name], [0.025, 0.975]).tolist(),
            "inside_a_level": float(np.mean(inside)),
        }
        other = name.replace("factored", "full")
        if other != name:
            gap = np.subtract(draws[name], draws[other])
            found[name]["better_than_full_by"] = (
                found[name]["spearman"] - found[other]["spearman"]
            )
            found[name]["better_than_full_by_ci"] = np.quantile(
                gap, [0.025, 0.975]
            ).tolist()
    return found


def main() -> None:
    """Measure cosines of all pairs, and correlate."""
    command = study_parser(__file__, __doc__)
    command.add_argument("--clips", type=int, default=24)
    args = command.parse_args()
    silence_libraries()
    pairs: Any = read_json(SHARES, "shares of golden gain")
    rows = pairs["pairs"]
    levels = sorted({row["sigma"] for row in rows})
    settings = TrainRunSettings(
        ckpt="tiny", clips="synthetic", full=True, steps=1, out=Path("unused")
    )
    training = RepeatedTraining(settings, default_cache())
    layout = make_layout(training.model.network, {"all": list(training.parameters)})
    clips = training.encode(PROBE, args.clips, None)
    golden = {s: training.gradients(clips, s, PROBE) for s in tqdm(levels, "golden")}
    by_metric = scales(layout, golden.values())
    for row in tqdm(rows, "pairs"):
        copies = training.encode(PROBE, args.clips, row["degradation"])
        own = golden[row["sigma"]]
        other = training.gradients(copies, row["sigma"], PROBE)
        row["cosine"] = {
            name: cosine_of(own * scale, other * scale)["cosine"]
            for name, scale in by_metric.items()
        }
    found = correlations(rows, list(by_metric))
    for name, one in found.items():
        print(name, {key: np.round(value, 3).tolist() for key, value in one.items()})
    gaps = {n: -one["better_than_full_by"] for n, one in found.items() if len(one) > 3}
    result = {
        "clips": args.clips,
        "correlations": found,
        "bar": BAR,
        "within_the_bar": {name: gap <= BAR for name, gap in gaps.items()},
        "root_of_factored_over_full": ratios(by_metric),
        "pairs": rows,
    }
    write_results(command, args, result, args.results)


if __name__ == "__main__":
    run_script(main)
