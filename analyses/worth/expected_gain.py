"""What share of the golden gain does a cosine promise?

Pools the pairs of degradation and level of `similarity_worth.py` (cosine in Adam's
metric before training, share of golden clips' gain achieved by training), fits the
share by isotonic regression, and gives it an interval: the quantiles of what is left
over, near that cosine, where each degradation is predicted by the others. The knots are
those of `tqd_probe.schedules.expected_gain`, which a test compares.

    python -m analyses.worth.expected_gain
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import isotonic_regression

from analyses.results_file import run_script, study_parser, write_results
from tqd_probe.core.files import read_json

RESULTS = Path(__file__).parent / "results"
SOURCES = ("similarity_worth_half.json", "similarity_worth_tiny.json")
PREDICTOR, ACHIEVED = "cosine, Adam's metric", "share of golden gain"
COSINES = (0.5, 0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.985, 1.0)
NEAREST = 20  # pairs whose errors make an interval
CONFIDENCE = 0.9


def read_pairs() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return cosines, shares and the number of the degradation of all pairs ``[N]``."""
    rows = []
    for source in SOURCES:
        for point in read_json(RESULTS / source, "results")["points"]:
            if point["used"]:
                key = f"{source} {point['degradation']}"
                rows.append(
                    (point["predicted"][PREDICTOR], point["achieved"][ACHIEVED], key)
                )
    rows.sort()
    keys = sorted({key for *_, key in rows})
    cosines, shares = (np.array([row[i] for row in rows]) for i in (0, 1))
    return cosines, shares, np.array([keys.index(key) for *_, key in rows])


def predict(cosines: np.ndarray, shares: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Fit shares by isotonic regression and interpolate.

    Args:
        cosines: Rising ``[N]``.
        shares: ``[N]``.
        at: Where to predict ``[M]``.

    Returns:
        Shares ``[M]``.
    """
    return np.interp(at, cosines, isotonic_regression(shares).x)


def errors_of(
    cosines: np.ndarray, shares: np.ndarray, degradations: np.ndarray
) -> np.ndarray:
    """Return by how much each share exceeds its prediction by other degradations."""
    errors = np.empty(len(shares))
    for one in np.unique(degradations):
        own = degradations == one
        errors[own] = shares[own] - predict(cosines[~own], shares[~own], cosines[own])
    return errors


def calibrate() -> dict[str, Any]:
    """Return the knots: cosine, expected share, and its lower and upper bound."""
    cosines, shares, degradations = read_pairs()
    errors = errors_of(cosines, shares, degradations)
    expected = predict(cosines, shares, np.array(COSINES))
    tail = (1 - CONFIDENCE) / 2
    bounds = []
    for cosine, value in zip(COSINES, expected):
        near = np.argsort(np.abs(cosines - cosine), kind="stable")[:NEAREST]
        bounds.append(value + np.quantile(errors[near], (tail, 1 - tail)))
    low, high = np.maximum.accumulate(np.array(bounds)).T  # both rise with the cosine
    inside = (
        (shares >= np.interp(cosines, COSINES, low))
        & (shares <= np.interp(cosines, COSINES, high))
    ).mean()
    return {
        "pairs": len(shares),
        "degradations": len(np.unique(degradations)),
        "confidence": CONFIDENCE,
        "cosine": list(COSINES),
        "share": expected.round(2).tolist(),
        "low": low.round(2).tolist(),
        "high": high.round(2).tolist(),
        "pairs_inside": float(inside),
    }


def main() -> None:
    """Calibrate and write the results."""
    parser = study_parser(__file__, __doc__)
    args = parser.parse_args()
    found = calibrate()
    for row in zip(found["cosine"], found["share"], found["low"], found["high"]):
        print("cosine {:.3f}: share {:+.2f} [{:+.2f}, {:+.2f}]".format(*row))
    print(f"{found['pairs_inside']:.0%} of {found['pairs']} pairs lie inside")
    write_results(parser, args, found)


if __name__ == "__main__":
    run_script(main)
