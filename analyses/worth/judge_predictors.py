"""Judge the predictors by what training achieved, on one set of pairs or over several.

As `protocol.md` decides: rank correlation with the share of golden gain inside a level,
harmful and good pairs among those admitted, cost, and two controls. A level is one of a
set (a checkpoint and a source of clips), a cluster a degradation of a set.

    python -m analyses.worth.judge_predictors analyses/worth/results/predictors_*.json
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from analyses.results_file import run_script, study_parser, write_results
from analyses.worth.admitted_pairs import GOOD
from analyses.worth.clip_collections import SECOND
from analyses.worth.correlations import spearman
from tqd_probe.core.files import read_json
from tqd_probe.core.rng import stream

BASE = "adam, factored"  # what the others are compared with
VETO = 10.0  # excess of the linear denoiser over the golden gain
RESAMPLES = 2000
SHUFFLES = 1000
CERTIFICATE_STEPS, BATCH, SEEDS, HELD_OUT_CLIPS = 6, 8, 2, 24


def ranks_inside(values: np.ndarray, share: np.ndarray, groups: np.ndarray) -> float:
    """Return the mean rank correlation inside groups, each counted once."""
    found = [
        spearman(values[groups == one], share[groups == one])
        for one in np.unique(groups)
    ]
    return float(np.nanmean(found)) if np.isfinite(found).any() else float("nan")


def arrays(pairs: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return shares of golden gain, levels and clusters of pairs."""
    share = np.array([pair["share"] for pair in pairs])
    sets = [pair.get("set", "") for pair in pairs]
    level = np.array([f"{one} {pair['sigma']}" for one, pair in zip(sets, pairs)])
    cluster = [f"{one} {pair['degradation']}" for one, pair in zip(sets, pairs)]
    return share, level, np.array(cluster)


def judge(pairs: list[dict[str, Any]], names: list[str]) -> dict[str, Any]:
    """Judge every predictor by the shares of golden gain.

    Args:
        pairs: As `predictors.measure` leaves them, with ``share``; ``set`` where there
            are several.
        names: The predictors.

    Returns:
        By predictor: correlation over all pairs and its mean inside a level, both with
        95 % intervals over clusters, and how much better than Adam's metric it ranks
        inside a level.
    """
    share, level, clusters = arrays(pairs)
    every, rng = np.unique(clusters), stream(0, "predictors")
    rows_of = {one: np.flatnonzero(clusters == one) for one in every}
    picked = [
        np.concatenate([rows_of[one] for one in rng.choice(every, len(every))])
        for _ in range(RESAMPLES)
    ]
    values = {
        name: np.array([pair["predicted"][name] for pair in pairs], float)
        for name in names
    }
    inside = {
        name: [ranks_inside(x[rows], share[rows], level[rows]) for rows in picked]
        for name, x in values.items()
    }
    at_all = {name: ranks_inside(x, share, level) for name, x in values.items()}
    return {
        name: {
            "spearman": spearman(x, share),
            "ci": _ends([spearman(x[rows], share[rows]) for rows in picked]),
            "inside_a_level": at_all[name],
            "inside_a_level_ci": _ends(inside[name]),
            "better_than_base": at_all[name] - at_all[BASE],
            "better_than_base_ci": _ends(np.subtract(inside[name], inside[BASE])),
        }
        for name, x in values.items()
    }


def admissions(pairs: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Count the pairs that each rule admits, and good and harmful ones among them.

    Args:
        pairs: As `predictors.measure` leaves them, with ``share``, ``gain`` and early
            shares.

    Returns:
        Counts by metric; by the raw cosine and Adam's with a veto of the linear
        denoiser; and with three and six steps of training that both bring half of the
        golden gain.
    """
    share = np.array([pair["share"] for pair in pairs])
    rules = {
        name: np.array([pair["admitted"][name] for pair in pairs])
        for name in pairs[0]["admitted"]
    }
    ratio = np.array([pair["excess"] / pair["gain"] for pair in pairs])
    for name in ("raw", BASE):
        rules[f"{name}, veto"] = rules[name] & (ratio < VETO)
    early = [[pair["share_at_3"], pair["share_at_6"]] for pair in pairs]
    certified = (np.nan_to_num(np.array(early, float), nan=-1.0) >= GOOD).all(1)
    rules[f"{BASE}, certificate"] = rules[BASE] & certified
    return {
        name: {
            "admitted": int(use.sum()),
            "good": int((use & (share >= GOOD)).sum()),
            "harmful": int((use & (share < 0)).sum()),
        }
        for name, use in rules.items()
    }


def harmful(pairs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the harmful pairs that any rule admits, with what speaks against them."""
    return [
        {
            "set": pair.get("set", ""),
            "degradation": pair["degradation"],
            "sigma": pair["sigma"],
            "share": pair["share"],
            "share_ci": pair["share_ci"],
            "admitted_by": [name for name, use in pair["admitted"].items() if use],
            "cosine": pair["predicted"][BASE],
            "excess_over_gain": pair["excess"] / pair["gain"],
            "share_at_3": pair["share_at_3"],
            "share_at_6": pair["share_at_6"],
        }
        for pair in pairs
        if pair["share"] < 0 and any(pair["admitted"].values())
    ]


def shuffled(pairs: list[dict[str, Any]]) -> dict[str, Any]:
    """Permute shares among the pairs of a level: nothing must be left.

    Args:
        pairs: As for `judge`.

    Returns:
        Mean and 95 % range of the correlation inside a level over permutations, and the
        share of them that reach the true one.
    """
    share, level, _ = arrays(pairs)
    cosine = np.array([pair["predicted"][BASE] for pair in pairs], float)
    rng, found = stream(0, "predictors-shuffled"), []
    groups = [np.flatnonzero(level == one) for one in np.unique(level)]
    for _ in range(SHUFFLES):
        mixed = share.copy()
        for rows in groups:
            mixed[rows] = share[rng.permutation(rows)]
        found.append(ranks_inside(cosine, mixed, level))
    true = ranks_inside(cosine, share, level)
    return {
        "mean": float(np.mean(found)),
        "range": _ends(found),
        "reach_the_true_one": float((np.array(found) >= true).mean()),
    }


def clip_gradients(pairs: list[dict[str, Any]], clips: int) -> dict[str, int]:
    """Return what the predictors of a set cost, in clip-gradients.

    Args:
        pairs: The pairs of one set.
        clips: Golden clips that were measured with.

    Returns:
        Of the cosines, in any metric; of the training that the certificate takes, for
        golden clips and every pair, and of its held-out losses (a third each).
    """
    levels = {pair["sigma"] for pair in pairs}
    names = {pair["degradation"] for pair in pairs}
    trainings = SEEDS * (len(pairs) + len(levels))
    losses = HELD_OUT_CLIPS * (2 * trainings + len(levels))
    steps = trainings * CERTIFICATE_STEPS * BATCH
    return {
        "cosines": clips * len(levels) * (1 + len(names)),
        "certificate": steps + losses // 3,
    }


def judged(pairs: list[dict[str, Any]]) -> dict[str, Any]:
    """Judge pairs that are no controls: correlations, admissions, a control."""
    names = list(pairs[0]["predicted"])
    kept = [p for p in pairs if all(p["predicted"][name] is not None for name in names)]
    found, counts = judge(kept, names), admissions(pairs)
    good = sum(pair["share"] >= GOOD for pair in pairs)
    bad = sum(pair["share"] < 0 for pair in pairs)
    return {
        "pairs": len(pairs),
        "clusters": len(np.unique(arrays(pairs)[2])),
        "good": good,
        "harmful": bad,
        "judged": found,
        "admitted": counts,
        "harmful_admitted": harmful(pairs),
        "permuted": shuffled(kept),
    }


def show(name: str, found: dict[str, Any]) -> None:
    """Print what was found as the rows of a table."""
    counts = {key: found[key] for key in ("pairs", "clusters", "good", "harmful")}
    print(f"\n{name}: {counts}; permuted {found['permuted']}")
    for each, counted in found["admitted"].items():
        cells = [each]
        if each in found["judged"]:
            one = found["judged"][each]
            for key in ("inside_a_level", "better_than_base", "spearman"):
                low, high = one["ci" if key == "spearman" else f"{key}_ci"]
                cells.append(f"{one[key]:.3f} [{low:.3f}, {high:.3f}]")
        else:
            cells += ["", "", ""]
        cells.append("{admitted} ({good}, {harmful})".format(**counted))
        print("| " + " | ".join(cells) + " |")
    for one in found["harmful_admitted"]:
        print("  harmful:", one)


def main() -> None:
    """Judge every set by itself, and all together."""
    command = study_parser(__file__, __doc__)
    command.add_argument("files", type=Path, nargs="+", help="of predictors.py")
    args = command.parse_args()
    sets: dict[str, Any] = {}
    together: list[dict[str, Any]] = []
    for path in args.files:
        result: Any = read_json(path, "results of predictors.py")
        for pair in result["pairs"]:
            pair["set"] = result["set"]
        own = [p for p in result["pairs"] if p["degradation"] != SECOND]
        control = [p for p in result["pairs"] if p["degradation"] == SECOND]
        sets[result["set"]] = judged(own) | {
            "pairs_left_out": result["pairs_left_out"],
            "clip_gradients": clip_gradients(own, 24),
            "second_golden": [
                {
                    "sigma": pair["sigma"],
                    "share": pair["share"],
                    "share_ci": pair["share_ci"],
                    "cosine": pair["predicted"][BASE],
                    "cosine_ci": pair.get("ci", {}).get(BASE),
                    "use": pair["admitted"][BASE],
                }
                for pair in control
            ],
        }
        show(result["set"], sets[result["set"]])
        for one in sets[result["set"]]["second_golden"]:
            print("  second golden:", one)
        together += own
    found: dict[str, Any] = {"sets": sets}
    if len(args.files) > 1:
        found["together"] = judged(together)
        show("together", found["together"])
    write_results(command, args, found)


def _ends(draws: Any) -> list[float]:
    """Return a 95 % interval of bootstrap draws."""
    return np.nanquantile(draws, [0.025, 0.975]).tolist()


if __name__ == "__main__":
    run_script(main)
