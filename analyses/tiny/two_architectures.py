"""Do the findings on `tiny` hold on a second architecture? Two probes side by side.

Both runs probe the same clips at the same levels, so what the clips have in common
cancels in the difference of their cosines; degradations that only one run has are left
out. Levels mean the same in both: sigma is noise over noise plus signal, in flow
matching by definition and in CogVideoX through its alphas. Reported per degradation:
the mean cosine in thirds of the axis, the differences between thirds that the claim is
about, Spearman's correlation with sigma, bands, the difference of the architectures.

    python -m tqd_probe.gradsim --ckpt tiny --metric raw --out RUN
    python -m tqd_probe.gradsim --ckpt PIPELINE --metric raw --out RUN_COGVIDEOX
    python -m analyses.tiny.two_architectures RUN RUN_COGVIDEOX
    python -m figures.two_architectures
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata, spearmanr

from analyses.cosine_kernels import cosine_kernel, kernel_interval
from analyses.finished_probe import FinishedProbe
from analyses.results_file import run_script, study_parser, write_results
from tqd_probe.core.errors import InputError
from tqd_probe.core.rng import stream
from tqd_probe.statistics.u_statistics import covariances

CONFIDENCE, DRAWS = 0.95, 4000
THIRDS = {"lowest": (0, 1 / 3), "middle": (1 / 3, 2 / 3), "highest": (2 / 3, 1.01)}


@dataclass
class Curve:
    """The cosine of one degradation over levels, and what clips do to it.

    Attributes:
        sigma: Levels that are resolved.
        cosine: The cosine there.
        kernels: First-order changes by pairs of clips ``[levels, N, N]``.
    """

    sigma: list[float]
    cosine: np.ndarray
    kernels: np.ndarray

    def mean(self, low: float, high: float) -> tuple[float, np.ndarray] | None:
        """Average over the levels of a stretch; None if none is resolved."""
        rows = [i for i, s in enumerate(self.sigma) if low <= s < high]
        if not rows:
            return None
        return float(self.cosine[rows].mean()), self.kernels[rows].mean(0)

    def at(self, sigma: list[float]) -> Curve:
        """Keep some of the levels."""
        rows = [i for i, s in enumerate(self.sigma) if s in sigma]
        kept = [self.sigma[i] for i in rows]
        return Curve(kept, self.cosine[rows], self.kernels[rows])


def stated(value: float, kernel: np.ndarray) -> dict[str, Any]:
    """Give a value its interval over clips."""
    return {"value": float(value), "ci": [*kernel_interval(value, kernel, CONFIDENCE)]}


def gap(one: Any, other: Any) -> dict[str, Any] | None:
    """Compare two means of the same clips: the first minus the second."""
    if one is None or other is None:
        return None
    return stated(one[0] - other[0], one[1] - other[1])


def rank_correlation(curve: Curve, name: str) -> dict[str, Any] | None:
    """Return Spearman's correlation of cosine and sigma.

    Its interval holds the correlations of curves drawn around the one found, as other
    clips would move it. The curve found already holds such chance, so it lies too low.
    """
    if len(curve.sigma) < 3:
        return None
    unbiased, least = covariances(curve.kernels)
    spread = np.sqrt(np.maximum(np.diag(unbiased), np.diag(least)))
    jackknife = np.sqrt(np.maximum(np.diag(least), 1e-30))
    matrix = least / np.outer(jackknife, jackknife) * np.outer(spread, spread)
    rng = stream(0, "rank", name)
    drawn = rng.multivariate_normal(curve.cosine, matrix, DRAWS, check_valid="ignore")
    ranks = rankdata(curve.sigma), rankdata(drawn, axis=1)
    middle = (len(curve.sigma) + 1) / 2
    one, other = (rank - middle for rank in ranks)
    values = other @ one / np.sqrt((one @ one) * (other**2).sum(1))
    return {
        "value": float(spearmanr(curve.sigma, curve.cosine).statistic),
        "ci": [float(v) for v in np.quantile(values, [0.025, 0.975])],
    }


def read_run(path: Path) -> tuple[dict[str, Any], FinishedProbe, dict[str, Curve]]:
    """Read a finished probe.

    Args:
        path: Its folder.

    Returns:
        What both runs must share, the run, and the curves of degradations.
    """
    run = FinishedProbe(path)
    levels, grams = run.levels, run.whole_grams()
    curves = {}
    for condition, name in enumerate(run.degradations, start=1):
        found = [
            (round(sigma, 2), *both)
            for sigma, fine, gram in zip(levels, run.resolved, grams)
            if fine and (both := cosine_kernel(gram, condition)) is not None
        ]
        sigma, cosine, kernels = zip(*found) if found else ((), (), ())
        curves[name] = Curve(list(sigma), np.array(cosine), np.array(kernels))
    same = {key: run.settings[key] for key in ("draws", "clips", "seed")}
    same["number of clips"] = run.clips
    same["levels"] = [round(sigma, 2) for sigma in levels]
    return same, run, curves


def describe(run: FinishedProbe, curves: dict[str, Curve]) -> dict[str, Any]:
    """Say what one run found.

    Args:
        run: The probe.
        curves: Curves by degradation.

    Returns:
        Resolved levels, golden signal-to-noise and loss, and per degradation thirds,
        differences between thirds, rank correlation, bands, the curve.
    """
    details = run.schedule.degradations_detail
    rows = {}
    for name, curve in curves.items():
        means = {key: curve.mean(*ends) for key, ends in THIRDS.items()}
        rows[name] = {
            "thirds": {k: m and stated(*m) for k, m in means.items()},
            "highest - lowest": gap(means["highest"], means["lowest"]),
            "lowest - middle": gap(means["lowest"], means["middle"]),
            "spearman": rank_correlation(curve, name),
            "bands": details[name].bands,
            "edges_ci": details[name].edges_ci,
            "cosine": details[name].cosine,
            "cosine_ci": details[name].cosine_ci,
        }
    golden = run.golden
    return {
        "resolved": golden.resolved,
        "snr": golden.snr,
        "loss": golden.loss,
        "levels": run.levels,
        "degradations": rows,
    }


def main() -> None:
    """Read both, compare, write."""
    parser = study_parser(__file__, __doc__)
    parser.add_argument("runs", type=Path, nargs=2, metavar="RUN")
    parser.add_argument("--names", default="tiny,tiny CogVideoX")
    args = parser.parse_args()
    names = args.names.split(",")
    if len(names) != 2:
        raise InputError(f"--names {args.names}: give one name for each of two runs")
    (first, one, own), (second, two, other) = (read_run(path) for path in args.runs)
    for key in first:
        if first[key] != second[key]:
            raise InputError(
                f"{args.runs[1]}: {key} is {second[key]}, in {args.runs[0]}"
                f" {first[key]}; probe both models with the same options"
            )
    shared = [name for name in own if name in other]
    own, other = ({name: run[name] for name in shared} for run in (own, other))
    differences = {}
    for name in own:
        both = [s for s in own[name].sigma if s in other[name].sigma]
        a, b = own[name].at(both), other[name].at(both)
        differences[name] = {
            key: gap(b.mean(*ends), a.mean(*ends)) for key, ends in THIRDS.items()
        }
    found = {names[0]: describe(one, own), names[1]: describe(two, other)}
    for name in own:
        for label, each in found.items():
            row = each["degradations"][name]
            thirds = {k: _short(v) for k, v in row["thirds"].items()}
            print(f"{name:12} {label:16} Spearman {_short(row['spearman'])} {thirds}")
        change = {k: _short(v) for k, v in differences[name].items()}
        print(f"{name:12} difference       {change}")
    write_results(
        parser,
        args,
        {
            "run": first,
            "models": found,
            f"{names[1]} - {names[0]}": differences,
        },
    )


def _short(value: dict[str, Any] | None) -> str:
    """Write a value with its interval, or a dash."""
    if value is None:
        return "-"
    low, high = value["ci"]
    return f"{value['value']:.2f} [{low:.2f}, {high:.2f}]"


if __name__ == "__main__":
    run_script(main)
