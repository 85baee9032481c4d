"""Does the mixture find a known optimum, and is its predicted risk what comes out?

Two noise levels, three classes, means and noise known, so that the best weights and
their risk are known too. Weights are measured from few and many clips; then gradients
of data sets of the pool's size are drawn and mixed by the weights, and the squared
error against the golden mean averaged. Also how often the weights' intervals hold the
true weights.

    python -m analyses.intervals.mixture_check
"""

from __future__ import annotations

from typing import Any

import numpy as np
from tqdm import tqdm

from analyses.results_file import run_script, study_parser, write_results
from tqd_probe.core.rng import stream
from tqd_probe.gradients.class_vectors import ClassVectors
from tqd_probe.gradients.gram import LevelGram, gram_from_columns
from tqd_probe.schedules.mixture_weights import MixtureOptions, solve_mixture
from tqd_probe.statistics.mixture import MixtureProblem, minimise_risk
from tqd_probe.statistics.moments import joint_moments, level_moments

CLASSES = ["golden", "visual_degraded", "motion_degraded"]
CONDITIONS = {"golden": [0], "visual_degraded": [1], "motion_degraded": [2]}
LEVELS, SIZE, NOISE = np.array([0.25, 0.75]), 12, 0.2
POOL = {"golden": 3, "visual_degraded": 60, "motion_degraded": 15}
MEANS = np.zeros((2, 3, SIZE))
MEANS[:, 0, 0] = 1.0
MEANS[0, 1, :2], MEANS[0, 2, :2] = (0.3, 0.9), (0.95, 0.1)
MEANS[1, 1, :2], MEANS[1, 2, 1:3] = (0.97, 0.15), (0.2, 0.9)


def truth(form: str) -> np.ndarray:
    """Return the best shares ``[levels, classes]``: they sum to 1 over all."""
    share = SIZE * NOISE**2 / np.array([POOL[name] for name in CLASSES])
    if form == "joint":
        means = MEANS.reshape(6, SIZE)
        target = np.array([0.5, 0, 0, 0.5, 0, 0])
        found = minimise_risk(
            MixtureProblem(means @ means.T, np.tile(share, 2), target)
        )
        return found.weights.reshape(2, 3)
    found = [
        minimise_risk(MixtureProblem(m @ m.T, share, np.eye(3)[0])).weights
        for m in MEANS
    ]
    return np.stack(found) / 2


def measure(clips: int, form: str, rng: np.random.Generator) -> dict[str, Any]:
    """Measure the mixture from some clips."""
    grams: list[LevelGram] = []
    vectors: list[ClassVectors] = []
    for means in MEANS:
        rows = means[:, None, None] + rng.normal(0, NOISE, (3, clips, 1, SIZE))
        gram = gram_from_columns(
            lambda a, b, rows=rows: rows[..., a:b],
            {"all": (0, SIZE)},
            np.ones((clips, 1, 3)),
            SIZE,
        )
        grams.append(gram.all_groups())
        vectors.append(ClassVectors(rows[:, :, 0]))
    moments = (
        [joint_moments(grams, vectors, CONDITIONS, {})]
        if form == "joint"
        else [level_moments(gram, CONDITIONS, {}) for gram in grams]
    )
    options = MixtureOptions(form, POOL, 0.0, 0.95, int(rng.integers(1 << 30)), 1.0)
    return solve_mixture(CLASSES, LEVELS, np.ones(2, bool), moments, options)


def simulate(
    shares: np.ndarray, form: str, times: int, rng: np.random.Generator
) -> float:
    """Return the mean squared error of gradients mixed by shares."""
    clips = np.array([POOL[name] for name in CLASSES])
    drawn = MEANS + rng.normal(size=(times, 2, 3, SIZE)) * (
        NOISE / np.sqrt(clips)[:, None]
    )
    if form == "joint":
        mixed = np.einsum("lc,tlcp->tp", shares, drawn)
        return float(((mixed - MEANS[:, 0].mean(0)) ** 2).sum(1).mean())
    mixed = np.einsum("lc,tlcp->tlp", shares * 2, drawn)
    return float(((mixed - MEANS[:, 0]) ** 2).sum(2).mean())


def main() -> None:
    """Measure, simulate, compare."""
    parser = study_parser(__file__, __doc__)
    parser.add_argument("--clips", default="24,96,1000")
    parser.add_argument("--times", type=int, default=25, help="measurements of each")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rows = []
    for form in ("per-level", "joint"):
        best = truth(form)
        least = simulate(best, form, 20_000, stream(args.seed, "best", form))
        for clips in (int(part) for part in args.clips.split(",")):
            errors, hits, ratios, excess = [], [], [], []
            for turn in tqdm(range(args.times), desc=f"{form} {clips}"):
                rng = stream(args.seed, "mixture check", form, clips, turn)
                found = measure(clips, form, rng)
                density = np.array(found["level_density"])
                shares = np.array(found["weights"]) * density[:, None]
                scale = 1.0 if form == "joint" else 2.0
                errors.append(np.abs(shares - best).max() * scale)
                bounds = np.array(found["weights_ci"], float)
                wanted = best / best.sum(1, keepdims=True)
                hits.append(
                    (bounds[..., 0] - 1e-9 <= wanted)
                    & (wanted <= bounds[..., 1] + 1e-9)
                )
                simulated = simulate(shares, form, 4000, rng)
                predicted = float(np.mean(found["risk"]["mixture"]))
                ratios.append(predicted / simulated)
                excess.append(simulated / least - 1)
            rows.append(
                {
                    "form": form,
                    "clips": clips,
                    "largest_weight_error": float(np.median(errors)),
                    "interval_coverage": float(np.nanmean(hits)),
                    "predicted_over_simulated": float(np.median(ratios)),
                    "simulated_over_best": float(1 + np.median(excess)),
                }
            )
            print(rows[-1])
    write_results(
        parser,
        args,
        {
            "pool": POOL,
            "best_shares": {
                form: truth(form).tolist() for form in ("per-level", "joint")
            },
            "rows": rows,
        },
    )


if __name__ == "__main__":
    run_script(main)
