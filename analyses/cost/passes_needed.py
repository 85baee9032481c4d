"""Clip-gradients to a schedule: ours against naive, on `tiny`.

Part of `probe_cost.py`. A pool of clips x draws is captured once, with shared noise for
all versions of a clip. Both ways are then run on random parts of the pool, at most half
of it, so that no part is judged by little more than itself:

- *ours*: versions share noise, U-statistics; fixed (the same clips and draws at every
  level), or adaptive (levels that are clear stop);
- *naive*: golden and degraded gradients come from different noise draws, plain cosine
  of the class means, the same clips and draws at every level.

A class's bands are where the estimated cosine reaches 0.9, edges interpolated. An
answer is right when it has as many edges as the one from the whole pool and each lies
within 0.05 of its own. Counted are the clip-gradients at which 9 of 10 answers are
right, per degradation and for all of them together.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from analyses.cost.tiny_probe import DEGRADATIONS, tiny_probe
from tqd_probe.core.rng import stream
from tqd_probe.gradients.gram import LevelGram
from tqd_probe.gradients.sketch import DEFAULT_SIZE
from tqd_probe.probing.batch_size import choose_batch_size
from tqd_probe.probing.losses import batch_losses
from tqd_probe.probing.micro_batches import micro_batches
from tqd_probe.probing.passes import allocate_sketch
from tqd_probe.schedules.bands import CosineCriterion, LevelCurves, use_intervals
from tqd_probe.statistics.similarity import LevelStatistics

CLIPS, DRAWS, LEVELS = 1024, 2, 10
REPEATS, NEAR, SHARE = 40, 0.05, 0.9
SIZES = (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)  # clips
CRITERION = CosineCriterion(0.9, (1e-6, 1e6), 0.95)
INTERIM = (8, 16, 32)  # clips after which the adaptive way analyses a level


def pool() -> tuple[np.ndarray, np.ndarray]:
    """Capture the pool; products ``[L, C, N, R, C, N, R]`` from sketches."""
    with tempfile.TemporaryDirectory() as place:
        probe = tiny_probe(
            Path(place) / "run",
            num_clips=CLIPS,
            draws=DRAWS,
            levels=str(LEVELS),
            sketch=str(DEFAULT_SIZE),
        )
        probe.sketch = allocate_sketch(probe)
        engine, names = probe.engine(), probe.encoded.versions
        size = choose_batch_size(probe)["batch_size"]
        rows = []
        with probe.deterministic():
            for sigma in probe.sigmas:
                values = np.empty(
                    (len(names), CLIPS, DRAWS, probe.sketch.size), np.float32
                )
                for draws in micro_batches(CLIPS, (), DRAWS, len(names), size):
                    losses = batch_losses(
                        probe, [(draw, names) for draw in draws], float(sigma)
                    )
                    found, _ = engine.per_clip(losses, len(draws) * len(names))
                    for (clip, draw), own in zip(draws, found.split(len(names))):
                        values[:, clip, draw] = own.numpy()
                flat = values.reshape(-1, values.shape[-1])
                shape = values.shape[:3]
                rows.append((flat @ flat.T).reshape(*shape, *shape))
                print(f"pool: sigma {sigma:.2f}", flush=True)
        probe.release()
        return np.stack(rows), probe.sigmas


def edges(cosine: np.ndarray, sigmas: np.ndarray) -> list[float] | None:
    """Edges of the bands of a curve; None where a value is undefined."""
    if not np.isfinite(cosine).all():
        return None
    one = np.ones(len(sigmas))
    certain, both = np.stack([cosine, cosine], 1), np.stack([one, one], 1)
    measured = LevelCurves(sigmas, cosine, certain, one, both, one.astype(bool))
    bands = use_intervals(measured, CRITERION)
    return [edge for band in bands for edge in band]


def right(found: list[float] | None, wanted: list[float]) -> bool:
    """Say whether edges are those wanted."""
    if found is None or len(found) != len(wanted):
        return False
    return all(abs(a - b) <= NEAR for a, b in zip(found, wanted))


def paired(level: np.ndarray, clips: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Products of clip means over shared draws ``[C, n, C, n]``."""
    versions = np.arange(len(level))
    total = 0.0
    for first in draws:
        for second in draws:
            part = level[:, :, first][:, :, :, :, second]
            total = total + part[np.ix_(versions, clips, versions, clips)]
    return total / len(draws) ** 2


def statistics_of(products: np.ndarray, confidence: float = 0.95) -> LevelStatistics:
    """The product's own statistics of some clips."""
    versions, count = products.shape[:2]
    own = np.einsum("cici->ci", products)[None, ..., None, None]
    losses = np.ones((count, 1, versions))
    gram = LevelGram(("all",), products[None], own, losses)
    return LevelStatistics(gram, 0, confidence=confidence)


def u_cosine(products: np.ndarray, subject: int) -> float:
    """Debiased cosine of one degradation with golden."""
    return statistics_of(products).compare([subject]).cosine


def u_interval(products: np.ndarray, subject: int, confidence: float) -> Any:
    """Interval of the debiased cosine over clips."""
    return statistics_of(products, confidence).compare([subject]).cosine_ci


def naive_cosine(
    level: np.ndarray, clips: np.ndarray, draws: np.ndarray, other: np.ndarray, s: int
) -> float:
    """Plain cosine of means; degraded gradients have noise draws of their own."""
    golden, degraded = (0, draws), (s, other)

    def product(a: Any, b: Any) -> float:
        block = level[a[0], :, a[1][0], b[0], :, b[1][0]]
        return float(block[np.ix_(clips, clips)].mean())

    gd = product(golden, degraded)
    return gd / np.sqrt(product(golden, golden) * product(degraded, degraded))


def adaptive_run(
    levels: np.ndarray, order: np.ndarray, most: int, subjects: range
) -> tuple[np.ndarray, int]:
    """Run the adaptive way up to a number of clips; cosines ``[S, L]`` and the cost."""
    analyses = [n for n in INTERIM if n < most] + [most]
    found = np.empty((len(subjects), len(levels)))
    spent = 0
    for index, level in enumerate(levels):
        for count in analyses:
            products = paired(level, order[:count], np.array([0]))
            if count == analyses[-1]:
                break
            ends = [u_interval(products, s, 1 - 0.05 / len(analyses)) for s in subjects]
            if all(low >= 0.9 or high < 0.9 for low, high in ends):
                break
        spent += count * (1 + len(subjects))
        found[:, index] = [u_cosine(products, s) for s in subjects]
    return found, spent


def least(curve: dict[int, tuple[float, float]]) -> float | None:
    """Cost from which on 9 of 10 answers are right; None if that is never reached."""
    reached = None
    for cost, share in sorted(curve.values()):
        if share >= SHARE and reached is None:
            reached = cost
        elif share < SHARE:
            reached = None
    return reached


def study() -> dict[str, Any]:
    levels, sigmas = pool()
    names = DEGRADATIONS.split(",")
    subjects = range(1, len(names) + 1)
    everyone, every_draw = np.arange(CLIPS), np.arange(DRAWS)
    whole = [paired(level, everyone, every_draw) for level in levels]
    truth = {
        s: edges(np.array([u_cosine(p, s) for p in whole]), sigmas) for s in subjects
    }
    curves: dict[str, dict[str, dict[int, tuple[float, float]]]] = {}
    versions = 1 + len(names)
    for way in ("ours_fixed", "ours_adaptive", "naive"):
        for count in SIZES:
            hits = np.zeros((REPEATS, len(names)))
            cost = np.zeros(REPEATS)
            for repeat in range(REPEATS):
                rng = stream(0, "passes", repeat)
                order, draws = rng.permutation(CLIPS), rng.permutation(DRAWS)
                if way == "ours_adaptive":
                    shuffled = levels[:, :, :, draws][:, :, :, :, :, :, draws]
                    values, cost[repeat] = adaptive_run(
                        shuffled, order, count, subjects
                    )
                else:
                    cost[repeat] = count * versions * len(levels)
                    values = np.empty((len(names), len(levels)))
                    for index, level in enumerate(levels):
                        if way == "ours_fixed":
                            p = paired(level, order[:count], draws[:1])
                            values[:, index] = [u_cosine(p, s) for s in subjects]
                        else:
                            values[:, index] = [
                                naive_cosine(
                                    level, order[:count], draws[:1], draws[1:2], s
                                )
                                for s in subjects
                            ]
                for s in subjects:
                    answer = edges(values[s - 1], sigmas)
                    hits[repeat, s - 1] = right(answer, truth[s] or [])
            for place, name in enumerate(names):
                entry = (float(cost.mean()), float(hits[:, place].mean()))
                curves.setdefault(name, {}).setdefault(way, {})[count] = entry
            entry = (float(cost.mean()), float(hits.all(1).mean()))
            curves.setdefault("all", {}).setdefault(way, {})[count] = entry
            print(way, count, entry, flush=True)
    needed = {
        name: {way: least(curve) for way, curve in ways.items()}
        for name, ways in curves.items()
    }
    return {
        "pool": {"clips": CLIPS, "draws": DRAWS, "levels": LEVELS},
        "edges": {name: truth[s] for s, name in zip(subjects, names)},
        "largest": SIZES[-1] * versions * LEVELS,
        "needed": needed,
        "curves": curves,
    }
