"""What share of the golden gain does a cosine promise?

Pools every pair of degradation and level that training has judged: the cosine in Adam's
metric before training, and the share of golden clips' gain that training achieved. Fits
the share by isotonic regression, and gives it an interval: the quantiles of what is
left over, near that cosine, where the pairs of each checkpoint are predicted by those
of the others, as a checkpoint of the user's is. The knots are those of
`tqd_probe.schedules.expected_gain`, which a test compares.

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
SOURCES = {  # results of similarity_worth.py, by checkpoint and clips
    "similarity_worth_tiny.json": "tiny",
    "similarity_worth_half.json": "half-trained tiny",
    "unseen_half.json": "half-trained tiny",
    "unseen_rendered.json": "tiny, rendered clips",
    "unseen_cogvideox.json": "half-trained CogVideoX",
    "unseen_large.json": "half-trained, 18 million parameters",
}
CONTROL = "second:1"  # other golden clips: no degradation
PREDICTOR, ACHIEVED = "cosine, Adam's metric", "share of golden gain"
COSINES = (0.5, 0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.985, 1.0)
NEAREST = 40  # pairs whose errors make an interval
CONFIDENCE = 0.9


def read_pairs() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return cosines, shares and checkpoints of all pairs ``[N]``, by rising cosine."""
    rows = []
    for source, checkpoint in SOURCES.items():
        for point in read_json(RESULTS / source, "results")["points"]:
            if point["used"] and point["degradation"] != CONTROL:
                cosine = point["predicted"][PREDICTOR]
                rows.append((cosine, point["achieved"][ACHIEVED], checkpoint))
    for pair in read_json(RESULTS / "metric_forms.json", "results")["pairs"]:
        if pair["set"] == "later":  # those of "first" are in similarity_worth_tiny.json
            rows.append((pair["cosine"]["adam, full"], pair["share"], "tiny"))
    rows.sort()
    cosines, shares = (np.array([row[i] for row in rows]) for i in (0, 1))
    return cosines, shares, np.array([row[2] for row in rows])


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
    cosines: np.ndarray, shares: np.ndarray, checkpoints: np.ndarray
) -> np.ndarray:
    """Return by how much shares exceed what other checkpoints' pairs predict ``[N]``.

    Args:
        cosines: Rising ``[N]``.
        shares: ``[N]``.
        checkpoints: To which a pair belongs ``[N]``.
    """
    errors = np.empty(len(shares))
    for one in np.unique(checkpoints):
        own = checkpoints == one
        errors[own] = shares[own] - predict(cosines[~own], shares[~own], cosines[own])
    return errors


def fit(
    cosines: np.ndarray, shares: np.ndarray, checkpoints: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the expected share, its lower and its upper bound at `COSINES`.

    Args:
        cosines: Rising ``[N]``.
        shares: ``[N]``.
        checkpoints: To which a pair belongs ``[N]``.
    """
    errors = errors_of(cosines, shares, checkpoints)
    expected = predict(cosines, shares, np.array(COSINES))
    tail = (1 - CONFIDENCE) / 2
    bounds = []
    for cosine, value in zip(COSINES, expected):
        near = np.argsort(np.abs(cosines - cosine), kind="stable")[:NEAREST]
        bounds.append(value + np.quantile(errors[near], (tail, 1 - tail)))
    low, high = np.maximum.accumulate(np.array(bounds)).T  # both rise with the cosine
    return expected, low, high


def inside(
    cosines: np.ndarray, shares: np.ndarray, low: np.ndarray, high: np.ndarray
) -> float:
    """Return the part of the pairs whose share lies between bounds at `COSINES`."""
    below, above = (np.interp(cosines, COSINES, ends) for ends in (low, high))
    return float(((shares >= below) & (shares <= above)).mean())


def calibrate() -> dict[str, Any]:
    """Return the knots, and how many pairs lie inside intervals made without them."""
    cosines, shares, checkpoints = read_pairs()
    expected, low, high = fit(cosines, shares, checkpoints)
    found = {}
    for one in dict.fromkeys(SOURCES.values()):
        own = checkpoints == one
        _, *bounds = fit(cosines[~own], shares[~own], checkpoints[~own])
        held = inside(cosines[own], shares[own], *bounds)
        found[one] = {"pairs": int(own.sum()), "inside": held}
    return {
        "pairs": len(shares),
        "confidence": CONFIDENCE,
        "cosine": list(COSINES),
        "share": expected.round(2).tolist(),
        "low": low.round(2).tolist(),
        "high": high.round(2).tolist(),
        "pairs_inside": inside(cosines, shares, low, high),
        "by_the_other_checkpoints": found,
    }


def main() -> None:
    """Calibrate and write the results."""
    parser = study_parser(__file__, __doc__)
    args = parser.parse_args()
    found = calibrate()
    for row in zip(found["cosine"], found["share"], found["low"], found["high"]):
        print("cosine {:.3f}: share {:+.2f} [{:+.2f}, {:+.2f}]".format(*row))
    print(f"{found['pairs_inside']:.0%} of {found['pairs']} pairs lie inside")
    for name, one in found["by_the_other_checkpoints"].items():
        print(
            f"{name}: {one['inside']:.0%} of {one['pairs']} pairs lie inside intervals"
            " of the other checkpoints"
        )
    write_results(parser, args, found)


if __name__ == "__main__":
    run_script(main)
