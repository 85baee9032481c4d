"""From finished trials to the rows of the table: intervals and paired differences."""

from __future__ import annotations

import itertools
from dataclasses import asdict
from typing import Any

import numpy as np

from analyses.tables.generated_clips import (
    APPEARANCE,
    MOTION,
    SHOWN,
    frechet,
    over_seeds,
)
from analyses.tables.markdown import (
    PAPER,
    beside_paper,
    candidate_table,
    differences,
    summary,
    table,
)
from tqd_probe.statistics.paired_difference import paired_difference

ALPHA = 0.05


def compare_trials(
    trials: dict[str, dict[str, list[dict[str, Any]]]],
    kinds: dict[str, str],
    golden: list[dict[str, float]],
    candidate: str = "",
) -> dict[str, Any]:
    """Compare every sampler with uniform on its own set and on Set-A.

    Args:
        trials: By set and sampler, one per seed.
        kinds: Of samplers: baseline, hand-set, measured.
        golden: Statistics of golden clips, for Frechet distances.
        candidate: Measured sampler chosen before these trials.

    Returns:
        Rows by set and sampler, the goals, and tables as Markdown. Differences are
        golden held-out losses, below 0 is better; 95 % intervals, each on its own.
    """
    losses: dict[tuple[str, str], np.ndarray] = {}
    for letter, samplers in trials.items():
        for name, runs in samplers.items():
            if all("after" in run for run in runs):
                losses[letter, name] = np.array([run["after"] for run in runs])
    base_a = losses.get(("A", "uniform"))
    made_a = None
    if base_a is not None and "generated" in trials["A"]["uniform"][0]:
        made_a = _generated(trials["A"]["uniform"], golden)
    rows = []
    for letter, samplers in trials.items():
        for name, runs in samplers.items():
            row: dict[str, Any] = {"set": letter, "sampler": name, "kind": kinds[name]}
            rows.append(row)
            if (letter, name) not in losses:
                row["refused"] = next(r["refused"] for r in runs if "refused" in r)
                continue
            mine = losses[letter, name]
            row["seeds"] = len(mine)
            row["loss"] = float(mine.mean())
            row["loss_per_seed"] = mine.mean((1, 2)).tolist()
            row["bucket_loss"] = mine.mean((0, 1)).tolist()
            base = losses[letter, "uniform"]
            if name != "uniform":
                gap = _gap(mine, base)
                row["against_uniform"] = _difference(gap)
                row["buckets_against_uniform"] = [
                    _difference(gap[:, :, [b]]) for b in range(mine.shape[2])
                ]
            if base_a is not None and (letter, name) != ("A", "uniform"):
                row["against_uniform_on_A"] = _difference(_gap(mine, base_a))
            if "draws" in runs[0]:
                row["class_share"] = _shares(runs)
            if "generated" in runs[0]:
                made = _generated(runs, golden)
                row["generated"] = {k: over_seeds(v) for k, v in made.items()}
                if made_a is not None and (letter, name) != ("A", "uniform"):
                    row["generated_against_uniform_on_A"] = {
                        k: over_seeds(_gap(np.array(v), np.array(made_a[k])).tolist())
                        for k, v in made.items()
                    }
    start = next(iter(losses))
    before = np.array([r["before"] for r in trials[start[0]][start[1]]])
    result = {
        "seeds": int(before.shape[0]),
        "held_out_clips": int(before.shape[1]),
        "start_loss": float(before.mean()),
        "start_bucket_loss": before.mean((0, 1)).tolist(),
        "rows": rows,
        "goals": _goals(losses, kinds, base_a, candidate),
        "carried": _carried(losses),
        "candidate_minus": _candidate_minus(losses, candidate),
        "paper": PAPER,
    }
    return result | {
        "table": table(result),
        "summary": summary(result),
        "generated_differences": differences(result),
        "beside_paper": beside_paper(result, candidate),
        "candidate_table": candidate_table(result, candidate),
    }


def _gap(mine: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Pair two samplers by their seeds; one may have the first few of them only."""
    count = min(len(mine), len(base))
    return mine[:count] - base[:count]


def _difference(gap: np.ndarray, tests: int = 1) -> dict[str, float] | None:
    """Return mean and interval of paired differences ``[seeds, clips, buckets]``.

    With more than one test the interval is one of as many that all hold together
    (Bonferroni).
    """
    if gap.shape[0] < 2:
        return None
    return asdict(paired_difference(gap.mean(2), ALPHA / tests))


def _shares(runs: list[dict[str, Any]]) -> dict[str, float]:
    """Return the share of draws that fell to each class, over seeds and levels."""
    counts: dict[str, int] = {}
    for run in runs:
        for name, buckets in run["draws"].items():
            counts[name] = counts.get(name, 0) + sum(buckets)
    return {name: count / sum(counts.values()) for name, count in counts.items()}


def _generated(
    runs: list[dict[str, Any]], golden: list[dict[str, float]]
) -> dict[str, list[float]]:
    """Return a number per seed of each statistic of generated clips.

    Captions and noise are the same for every sampler, so that a seed's differ in pairs.
    """
    found = {
        name: [float(np.mean([c[name] for c in run["generated"]])) for run in runs]
        for name in SHOWN
    }
    for label, names in (("motion", MOTION), ("appearance", APPEARANCE)):
        found[f"frechet_{label}"] = [
            frechet(run["generated"], golden, names) for run in runs
        ]
    return found


def _carried(losses: dict[tuple[str, str], np.ndarray]) -> dict[str, Any]:
    """Compare schedules of the first checkpoint with the same of another, in pairs.

    Below 0: the first one's train better.
    """
    found: dict[str, Any] = {}
    for (letter, name), theirs in losses.items():
        own, of, _ = name.rpartition(", of ")
        if of and (letter, own) in losses:
            gap = _gap(losses[letter, own], theirs)
            found.setdefault(letter, {})[f"{own} against {name}"] = _difference(gap)
    return found


def _candidate_minus(
    losses: dict[tuple[str, str], np.ndarray], candidate: str
) -> dict[str, Any]:
    """Compare the candidate with every other sampler of a set, in pairs."""
    found: dict[str, Any] = {}
    for (letter, name), theirs in losses.items():
        if name != candidate and (letter, candidate) in losses:
            gap = _gap(losses[letter, candidate], theirs)
            found.setdefault(name, {})[letter] = _difference(gap)
    return found


def _goals(
    losses: dict[tuple[str, str], np.ndarray],
    kinds: dict[str, str],
    base_a: np.ndarray | None,
    candidate: str,
) -> dict[str, Any]:
    """Compare measured samplers with the best hand-set one of a set.

    Two measured ones: the candidate, and the best by its mean on these trials. The
    intervals allow for the choice: they hold together for every pair that could have
    been chosen, hand-set samplers times measured ones (one, for the candidate).
    Samplers with fewer seeds than uniform are not chosen from.
    """
    goals: dict[str, Any] = {}
    for letter in sorted({one for one, _ in losses}):
        names: dict[str, list[str]] = {"measured": [], "hand-set": []}
        for place, name in losses:
            kind = "hand-set" if name == "uniform" else kinds[name]
            whole = len(losses[place, name]) == len(losses[letter, "uniform"])
            if place == letter and kind in names and whole:
                names[kind].append(name)
        best = {
            kind: min(some, key=lambda n: losses[letter, n].mean())
            for kind, some in names.items()
            if some
        }
        if len(best) < 2:
            continue
        pairs = len(names["measured"]) * len(names["hand-set"])
        gap = losses[letter, best["measured"]] - losses[letter, best["hand-set"]]
        goals[letter] = best | {
            "difference": _difference(gap, pairs),
            "pairs": pairs,
            "measured_ones": len(names["measured"]),
        }
        if candidate in names["measured"]:
            gap = losses[letter, candidate] - losses[letter, best["hand-set"]]
            known = _difference(gap, len(names["hand-set"]))
            goals[letter]["candidate"] = {"measured": candidate, "difference": known}
    if base_a is not None and "B" in goals:
        best_b, tests = goals["B"]["measured"], goals["B"]["measured_ones"]
        goals["measured on B against uniform on A"] = {
            "measured": best_b,
            "difference": _difference(losses["B", best_b] - base_a, tests),
        }
        if ("B", candidate) in losses:
            gap = losses["B", candidate] - base_a
            goals["candidate on B against uniform on A"] = _difference(gap)
    return goals


def cost(
    trials: dict[str, dict[str, list[dict[str, Any]]]],
    kinds: dict[str, str],
    batch_size: int,
    probe: int,
) -> dict[str, Any]:
    """Weigh the probe's gradient passes against training passes saved.

    Saved are the passes from where a training's golden loss first falls to what
    uniform, same set and seed, has at its end, to that end; linear between
    validations, 0 where it is never reached.

    Args:
        trials: By set and sampler, one per seed.
        kinds: Of samplers.
        batch_size: Clips per step.
        probe: Clip-gradients of the probe; a training pass is one too.

    Returns:
        Passes of the probe, and by set and sampler those saved with their interval
        over seeds.
    """
    saved: dict[str, dict[str, Any]] = {}
    for letter, samplers in trials.items():
        for name, runs in samplers.items():
            if kinds[name] == "baseline" or any("refused" in run for run in runs):
                continue
            found = []
            for run, base in zip(runs, samplers["uniform"]):
                last, goal = base["curve"][-1]
                found.append(batch_size * (last - _reached(run["curve"], goal, last)))
            reached = sum(value > 0 for value in found)
            saved.setdefault(letter, {})[name] = over_seeds(found) | {
                "seeds_that_reach_it": reached
            }
    return {"probe_passes": probe, "saved_passes": saved}


def _reached(curve: list[list[float]], goal: float, last: float) -> float:
    """Return the step at which a falling curve first meets a loss, or the last."""
    for (a, x), (b, y) in itertools.pairwise(curve):
        if x > goal >= y:
            return a + (b - a) * (x - goal) / (x - y)
    return last
