"""Which pairs does the rule admit, and does their number of clips matter?

The 70 pairs of degradation and noise level whose share of golden gain is known, judged
at `tiny` by the rule of use, test and avoid with 12, 24, 48 and 96 clips, each the
first of the next, one draw. Cosines are in Adam's metric, and raw; and raw with the
lower bound alone at the bar, the rule of schedules of version 1. A rule that does not
depend on the number of clips is nested: what fewer clips admit, more do too.

    python -m analyses.worth.admitted_pairs
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from analyses.results_file import run_script, study_parser, write_results
from analyses.worth.clip_collections import PROBE
from analyses.worth.correlations import pair_statistics
from analyses.worth.metric_forms import SHARES
from analyses.worth.short_training import RepeatedTraining
from tqd_probe.core.files import read_json
from tqd_probe.core.library_logging import silence_libraries
from tqd_probe.gradients.layout import make_layout
from tqd_probe.gradients.metric import POWERS, full_metric
from tqd_probe.models.clip_encoder import default_cache
from tqd_probe.schedules.bands import CosineCriterion, LevelCurves, three_ways
from tqd_probe.statistics.similarity import LevelStatistics
from tqd_probe.training.settings import TrainRunSettings

COUNTS = (12, 24, 48, 96)
GOOD = 0.5  # share of the golden gain
RULES = {  # metric, delta
    "adam, use": ("adam", 0.03),
    "raw, use": ("raw", 0.03),
    "raw, lower bound at the bar": ("raw", 0.0),
}


def admitted_levels(
    levels: np.ndarray, statistics: list[LevelStatistics], delta: float
) -> np.ndarray:
    """Return at which levels a degradation may be used.

    Args:
        levels: Noise levels, rising ``[L]``.
        statistics: Golden clips and copies at each level.
        delta: How far below the bar the lower bound may lie.

    Returns:
        Truth values ``[L]``.
    """
    compared = [each.compare([1]) for each in statistics]
    curves = LevelCurves(
        levels=levels,
        cosine=np.array([each.cosine for each in compared]),
        cosine_ci=np.array([each.cosine_ci for each in compared]),
        norm_ratio=np.array([each.norm_ratio for each in compared]),
        norm_ratio_ci=np.array([each.norm_ratio_ci for each in compared]),
        resolved=np.array([each.golden().resolved for each in statistics]),
    )
    use = three_ways(curves, CosineCriterion(delta=delta)).use
    return np.array([any(a <= level <= b for a, b in use) for level in levels])


def table(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Count what each rule admits, by number of clips.

    Args:
        rows: Pairs with ``share`` and, by rule, ``admitted`` by number of clips.

    Returns:
        By rule and number of clips: pairs admitted, good and harmful ones among them,
        and those that the next larger number no longer admits.
    """
    share = np.array([row["share"] for row in rows])
    found: dict[str, Any] = {}
    for rule in RULES:
        found[rule] = {}
        sets = {
            n: np.array([row["admitted"][rule][str(n)] for row in rows]) for n in COUNTS
        }
        for n, more in zip(COUNTS, (*COUNTS[1:], COUNTS[-1])):
            found[rule][str(n)] = {
                "admitted": int(sets[n].sum()),
                "good": int((sets[n] & (share >= GOOD)).sum()),
                "harmful": int((sets[n] & (share < 0)).sum()),
                "lost_with_more": int((sets[n] & ~sets[more]).sum()),
            }
    return found


def main() -> None:
    """Capture 96 clips once, and judge by the first of them."""
    command = study_parser(__file__, __doc__)
    args = command.parse_args()
    silence_libraries()
    pairs: Any = read_json(SHARES, "shares of golden gain")
    rows = pairs["pairs"]
    levels = np.array(sorted({row["sigma"] for row in rows}))
    settings = TrainRunSettings(
        ckpt="tiny", clips="synthetic", full=True, steps=1, out=Path("unused")
    )
    training = RepeatedTraining(settings, default_cache())
    layout = make_layout(training.model.network, {"all": list(training.parameters)})
    clips = training.encode(PROBE, COUNTS[-1], None)
    golden = [training.gradients(clips, s, PROBE) for s in tqdm(levels, "golden")]
    scale = {}
    for n in COUNTS:
        squares = sum(g[:n].square().sum(0, dtype=torch.float64) for g in golden)
        squares = torch.as_tensor(squares) / (n * len(levels))
        adam = full_metric(layout, squares, POWERS["adam"], torch.device("cpu")).scale
        scale["adam", n] = adam
        scale["raw", n] = torch.ones(layout.size)
    places = {(row["degradation"], row["sigma"]): row for row in rows}
    for name in tqdm(sorted({row["degradation"] for row in rows}), "degradations"):
        copies = training.encode(PROBE, COUNTS[-1], name)
        others = [training.gradients(copies, s, PROBE) for s in levels]
        for (metric, n), factors in scale.items():
            statistics = [
                pair_statistics(own[:n] * factors, other[:n] * factors)
                for own, other in zip(golden, others)
            ]
            for rule, (of, delta) in RULES.items():
                if of != metric:
                    continue
                inside = admitted_levels(levels, statistics, delta)
                for level, use in zip(levels, inside):
                    row = places[name, float(level)]
                    row.setdefault("admitted", {}).setdefault(rule, {})[str(n)] = bool(
                        use
                    )
    found = table(rows)
    for rule, by_count in found.items():
        for n, counts in by_count.items():
            print(f"{rule}, {n} clips: {counts}")
    frozen = places["freeze:5", 0.3]["admitted"]
    print(f"freeze:5 at sigma 0.3: {frozen}")
    write_results(command, args, {"table": found, "pairs": rows}, args.results)


if __name__ == "__main__":
    run_script(main)
