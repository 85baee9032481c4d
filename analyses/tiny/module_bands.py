"""Do attention, feed-forward and the rest agree on bands? From a finished probe.

The Gram matrices of the module groups of one part are added up, which is the Gram
matrix of their parameters side by side, and bands are cut for each part alone.

    python -m analyses.tiny.module_bands RUN_DIR
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from analyses.finished_probe import FinishedProbe
from analyses.results_file import run_script, study_parser, write_results
from tqd_probe.core.files import finite_or_none
from tqd_probe.gradients.gram import LevelGram
from tqd_probe.models.base import PARTS
from tqd_probe.schedules.bands import CosineCriterion, LevelCurves, use_intervals
from tqd_probe.statistics.similarity import LevelStatistics

SHOWN = ("ckpt", "num_clips", "draws", "levels", "degradations", "seed")


def part_of(gram: LevelGram, part: str) -> LevelGram | None:
    """Add up the module groups of a part."""
    rows = [i for i, name in enumerate(gram.groups) if name.split(".")[-1] == part]
    if not rows:
        return None
    return replace(
        LevelGram(("all",), gram.products, gram.draws, gram.losses),
        products=gram.products[rows].sum(0, keepdims=True),
        draws=gram.draws[rows].sum(0, keepdims=True),
    )


def main() -> None:
    """Cut bands part by part."""
    parser = study_parser(__file__, __doc__)
    parser.add_argument("run", type=Path)
    args = parser.parse_args()
    run = FinishedProbe(args.run)
    levels = np.array(run.levels)
    grams = [run.store.level(i) for i in range(len(levels))]
    names, stated = run.degradations, run.result.criterion
    criterion = CosineCriterion(
        stated.cos_min, stated.norm_range, stated.confidence, stated.delta
    )
    rows: dict[str, Any] = {}
    for part in PARTS:
        chosen = [part_of(gram, part) for gram in grams]
        if chosen[0] is None:
            continue
        found = [
            LevelStatistics(gram, 0, confidence=stated.confidence)
            for gram in chosen
            if gram is not None
        ]
        golden = [each.golden() for each in found]
        resolved = np.array([each.resolved for each in golden])
        whole = [level.all_groups().products[0, 0, :, 0].trace() for level in grams]
        share = [
            float(gram.products[0, 0, :, 0].trace() / total)
            for gram, total in zip(chosen, whole)
            if gram is not None
        ]
        rows[part] = {
            "share_of_squared_norm": share,
            "snr": [finite_or_none(each.snr) for each in golden],
            "resolved": resolved.tolist(),
            "degradations": {},
        }
        for condition, name in enumerate(names, start=1):
            some = [each.compare([condition]) for each in found]
            measured = LevelCurves(
                levels,
                np.array([each.cosine for each in some]),
                np.array([each.cosine_ci for each in some]),
                np.array([each.norm_ratio for each in some]),
                np.array([each.norm_ratio_ci for each in some]),
                resolved,
            )
            bands = use_intervals(measured, criterion)
            rows[part]["degradations"][name] = {
                "cosine": [finite_or_none(each.cosine) for each in some],
                "bands": bands,
            }
            print(
                f"{part:16} {name:12} {np.round([s.cosine for s in some], 2)} {bands}"
            )
    write_results(
        parser,
        args,
        {
            "run": {key: run.settings[key] for key in SHOWN},
            "levels": levels.tolist(),
            "parts": rows,
        },
    )


if __name__ == "__main__":
    run_script(main)
