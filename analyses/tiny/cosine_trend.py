"""Does the effect show on `tiny`? Checks a finished probe against the claim.

The claim (arXiv 2603.25527): the cosine of visually degraded clips rises with sigma;
that of frozen clips is higher at low sigma than in the middle. Reported per
degradation: Spearman's correlation of the debiased cosine with sigma, and the cosine
averaged over the resolved levels of a third with its interval over clips.

    python -m tqd_probe.gradsim --ckpt tiny --metric raw --out runs/tiny
    python -m analyses.tiny.cosine_trend runs/tiny
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from analyses.cosine_kernels import cosine_kernel, kernel_interval
from analyses.finished_probe import FinishedProbe
from analyses.results_file import run_script, study_parser, write_results
from tqd_probe.gradients.gram import LevelGram


def mean_over_levels(grams: list[LevelGram], condition: int) -> dict[str, Any]:
    """Mean cosine over some levels, with its interval; null where there is none.

    Clips are the same at all levels, so their first-order effects on the cosines are
    averaged before the error of the mean is taken.
    """
    found = [cosine_kernel(gram, condition) for gram in grams]
    known = [each for each in found if each is not None]
    if not known or len(known) < len(found):
        return {"cosine": None, "ci": [None, None]}
    mean = float(np.mean([cosine for cosine, _ in known]))
    kernel = np.mean([kernel for _, kernel in known], axis=0)
    return {"cosine": mean, "ci": [*kernel_interval(mean, kernel, 0.95)]}


def _show(value: float | None) -> str:
    """Write a number, or a dash where it is undefined."""
    return "-" if value is None else f"{value:.2f}"


def main() -> None:
    """Check a run and write the result."""
    parser = study_parser(__file__, __doc__)
    parser.add_argument("run", type=Path)
    args = parser.parse_args()
    run = FinishedProbe(args.run)
    grams, sigmas = run.whole_grams(), run.levels
    thirds = {
        "lowest": [i for i, s in enumerate(sigmas) if s < 1 / 3],
        "middle": [i for i, s in enumerate(sigmas) if 1 / 3 <= s < 2 / 3],
        "highest": [i for i, s in enumerate(sigmas) if s >= 2 / 3],
    }
    thirds = {
        key: [level for level in levels if run.resolved[level]]
        for key, levels in thirds.items()
    }
    names = run.degradations
    rows = {}
    for condition, name in enumerate(names, start=1):
        cosine = run.cosine(name)
        some = {
            key: mean_over_levels([grams[level] for level in levels], condition)
            for key, levels in thirds.items()
        }
        rho = None if None in cosine else float(spearmanr(sigmas, cosine).statistic)
        rows[name] = {"spearman": rho, **some}
        cells = "  ".join(
            f"{key} {_show(v['cosine'])} [{_show(v['ci'][0])}, {_show(v['ci'][1])}]"
            for key, v in some.items()
        )
        print(f"{name:14} Spearman {'-' if rho is None else f'{rho:.2f}':>5}  {cells}")
    write_results(
        parser,
        args,
        {
            "run": run.command,
            "levels": sigmas,
            "curves": {name: run.cosine(name) for name in names},
            "levels_of_thirds": {k: [sigmas[i] for i in v] for k, v in thirds.items()},
            "thirds": rows,
        },
    )


if __name__ == "__main__":
    run_script(main)
