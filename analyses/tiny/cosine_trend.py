"""Does the effect show on `tiny`? Checks a finished probe against the claim.

The claim (arXiv 2603.25527): the cosine of visually degraded clips rises with sigma;
that of frozen clips is higher at low sigma than in the middle. Reported per
degradation: Spearman's correlation of the debiased cosine with sigma, and the cosine
averaged over the resolved levels of a third with its interval over clips.

    python -m tqd_probe.gradsim --ckpt tiny --out runs/tiny
    python -m analyses.tiny.cosine_trend runs/tiny          # writes results/cosine_trend.json
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from tqd_probe.core.files import read_json, write_json
from tqd_probe.gradients.store import GradientStore
from tqd_probe.plot import read_result
from tqd_probe.statistics.intervals import mean_interval, quantile
from tqd_probe.statistics.u_statistics import covariances, pair_mean, symmetric

RESULTS = Path(__file__).parent / "results" / "cosine_trend.json"


def third(store: GradientStore, levels: list[int], condition: int) -> dict:
    """Mean cosine over some levels, with its interval; null where there is none.

    Clips are the same at all levels, so their first-order effects on the cosines are
    averaged before the error of the mean is taken.
    """
    cosines, kernels = [], []
    for level in levels:
        products = store.level(level).all_groups().products[0]
        gg, gd, dd = (
            symmetric(products[a, :, b, :])
            for a, b in ((0, 0), (0, condition), (condition, condition))
        )
        golden, cross, own = (float(pair_mean(kernel)) for kernel in (gg, gd, dd))
        if min(golden, own) <= 0:
            return {"cosine": None, "ci": [None, None]}
        bottom = np.sqrt(golden * own)
        cosine = cross / bottom
        cosines.append(cosine)
        kernels.append(gd / bottom - cosine / 2 * (gg / golden + dd / own))
    if not levels:
        return {"cosine": None, "ci": [None, None]}
    unbiased, least = covariances(np.mean(kernels, axis=0)[None])
    mean = np.array(np.mean(cosines))
    reach = quantile(len(kernels[0]), 0.95)
    low, high = mean_interval(mean, unbiased[0, 0], least[0, 0], reach)
    return {"cosine": float(mean), "ci": [float(low), float(high)]}


def _show(value: float | None) -> str:
    """Write a number, or a dash where it is undefined."""
    return "-" if value is None else f"{value:.2f}"


def main() -> None:
    """Check a run and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    result: dict[str, Any] = read_result(args.run / "gradsim.json")
    known = read_json(args.run / "gradients" / "store.json", "a store")
    store = GradientStore(args.run / "gradients", known["fingerprint"])
    sigmas = result["noise"]["levels"]
    thirds = {
        "lowest": [i for i, s in enumerate(sigmas) if s < 1 / 3],
        "middle": [i for i, s in enumerate(sigmas) if 1 / 3 <= s < 2 / 3],
        "highest": [i for i, s in enumerate(sigmas) if s >= 2 / 3],
    }
    known_levels = result["golden"]["resolved"]
    thirds = {
        key: [level for level in levels if known_levels[level]]
        for key, levels in thirds.items()
    }
    names = [n for n, s in result["subjects"].items() if s["kind"] == "degradation"]
    rows = {}
    for condition, name in enumerate(names, start=1):
        cosine = result["subjects"][name]["cosine"]
        some = {key: third(store, levels, condition) for key, levels in thirds.items()}
        rho = None if None in cosine else float(spearmanr(sigmas, cosine).statistic)
        rows[name] = {"spearman": rho, **some}
        cells = "  ".join(
            f"{key} {_show(v['cosine'])} [{_show(v['ci'][0])}, {_show(v['ci'][1])}]"
            for key, v in some.items()
        )
        print(f"{name:14} Spearman {'-' if rho is None else f'{rho:.2f}':>5}  {cells}")
    write_json(
        args.out,
        {
            "command": "python -m analyses.tiny.cosine_trend RUN",
            "run": " ".join(result["provenance"]["argv"]),
            "levels": sigmas,
            "curves": {n: result["subjects"][n]["cosine"] for n in names},
            "levels_of_thirds": {k: [sigmas[i] for i in v] for k, v in thirds.items()},
            "thirds": rows,
        },
    )
    print(args.out)


if __name__ == "__main__":
    main()
