"""How far do band edges move with other clips and noise? Five seeds and halves.

Each seed has its own synthetic clips and noise, so the runs share only the checkpoint.
Halves are the even and the odd clips of a run. Compared are the edges of every band,
edge by edge where two runs have the same number of bands, and otherwise the bands'
difference in length (the measure of the levels that only one has). The interval "said
so" where the cosine's intervals of the two overlap wherever only one has a band.

    python analyses/stability.py --ckpt tiny --draws 1 --runs DIR
    python figures/stability.py
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import Any

import numpy as np

from tqd_probe.api import probe
from tqd_probe.bands import Band, CosineCriterion, cosine_bands
from tqd_probe.files import read_json, write_json
from tqd_probe.gradients.gram import LevelGram
from tqd_probe.gradients.store import GradientStore
from tqd_probe.settings import RunSettings
from tqd_probe.similarity import LevelStatistics

RESULTS = Path(__file__).parent / "results" / "stability.json"
CLOSE = 0.07
GRID = np.linspace(0, 1, 2001)


def bands_of(
    grams: list[LevelGram], levels: np.ndarray, condition: int, confidence: float
) -> tuple[list[Band], list[Any]]:
    """Return bands and cosine intervals of one degradation from Gram matrices."""
    found = [LevelStatistics(gram, 0, confidence=confidence) for gram in grams]
    compared = [each.compare([condition]) for each in found]
    low = np.array([each.cosine_ci[0] for each in compared])
    ratio = np.array([each.norm_ratio for each in compared])
    resolved = np.array([each.golden().resolved for each in found])
    bands = cosine_bands(levels, low, ratio, resolved, CosineCriterion())
    return bands, [each.cosine_ci for each in compared]


def half(gram: LevelGram, first: int) -> LevelGram:
    """Keep every other clip."""
    rows = slice(first, None, 2)
    return LevelGram(
        gram.groups,
        gram.products[:, :, rows][:, :, :, :, rows],
        gram.draws[:, :, rows],
        gram.losses[rows],
    )


def inside(bands: list[Band], places: np.ndarray) -> np.ndarray:
    """Say which places lie in a band."""
    found = [(places >= low) & (places <= high) for low, high in bands]
    return np.any([*found, np.zeros(len(places), bool)], 0)


def movement(a: list[Band], b: list[Band]) -> tuple[float, bool]:
    """Return the largest movement of an edge, and whether bands correspond."""
    if len(a) == len(b):
        gaps = [abs(x - y) for p, q in zip(a, b) for x, y in zip(p, q)]
        return max(gaps, default=0.0), True
    return float((inside(a, GRID) != inside(b, GRID)).mean()), False


def said(
    a: tuple[list[Band], list[Any]], b: tuple[list[Band], list[Any]], levels: np.ndarray
) -> bool:
    """Say whether intervals overlap wherever only one of two runs has a band.

    Asked are the levels of that part of the axis and those within half a step of it;
    an undefined interval (unresolved level) excludes nothing.
    """
    apart = GRID[inside(a[0], GRID) != inside(b[0], GRID)]
    if not len(apart):
        return True
    step = np.diff(levels).max() / 2
    near = np.abs(levels[:, None] - apart).min(1) <= step
    return all(
        not np.isfinite([*x, *y]).all() or (x[0] <= y[1] and y[0] <= x[1])
        for x, y, asked in zip(a[1], b[1], near)
        if asked
    )


def main() -> None:
    """Run the seeds, compare them pair by pair and each run's halves."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ckpt", default="tiny")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--levels", default="10")
    parser.add_argument("--degradations", default="blur:3,noise:3,downscale:3,freeze:5")
    parser.add_argument("--runs", type=Path, required=True, help="folder; resumes")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    runs: list[tuple[list[LevelGram], list[str]]] = []
    for seed in range(args.seeds):
        settings = RunSettings(
            ckpt=args.ckpt,
            num_clips=args.clips,
            draws=args.draws,
            levels=args.levels,
            degradations=args.degradations,
            seed=seed,
            out=args.runs / f"seed-{seed}",
        )
        result = probe(settings)
        folder = args.runs / f"seed-{seed}" / "gradients"
        note = read_json(folder / "store.json", "a store")
        store = GradientStore(folder, note["fingerprint"])
        levels = np.array(result["noise"]["levels"])
        runs.append([store.level(i).all_groups() for i in range(len(levels))])
    names = args.degradations.split(",")
    rows: list[dict[str, Any]] = []
    for condition, name in enumerate(names, start=1):
        whole = [bands_of(grams, levels, condition, 0.95) for grams in runs]
        halves = [
            [
                bands_of([half(gram, k) for gram in grams], levels, condition, 0.95)
                for k in (0, 1)
            ]
            for grams in runs
        ]
        for kind, pairs in (
            ("seeds", itertools.combinations(whole, 2)),
            ("halves", halves),
        ):
            moves = []
            for a, b in pairs:
                moved, same = movement(a[0], b[0])
                moves.append((moved, same, moved <= CLOSE or said(a, b, levels)))
            rows.append(
                {
                    "degradation": name,
                    "compared": kind,
                    "bands": [bands for bands, _ in whole]
                    if kind == "seeds"
                    else [[bands for bands, _ in pair] for pair in halves],
                    "median_movement": float(np.median([m for m, _, _ in moves])),
                    "largest_movement": float(max(m for m, _, _ in moves)),
                    "within_0.07": float(np.mean([m <= CLOSE for m, _, _ in moves])),
                    "within_or_said": float(np.mean([s for _, _, s in moves])),
                    "same_number_of_bands": float(np.mean([s for _, s, _ in moves])),
                }
            )
            shown = {k: v for k, v in rows[-1].items() if k != "bands"}
            print(shown)
    write_json(
        args.out,
        {
            "command": f"python analyses/stability.py --ckpt {args.ckpt} --seeds"
            f" {args.seeds} --clips {args.clips} --draws {args.draws} --levels"
            f" {args.levels} --degradations {args.degradations} --runs RUNS",
            "levels": levels.tolist(),
            "rows": rows,
        },
    )
    print(args.out)


if __name__ == "__main__":
    main()
