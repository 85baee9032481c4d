"""Which levels a run will train, per class: a table and warnings before step one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tqd_probe.core.clip_classes import golden_first
from tqd_probe.sampling.draw_stream import DrawStream
from tqd_probe.sampling.level_buckets import BUCKETS, bucket_edges, bucket_index

COUNTED_DRAWS = 10_000  # of the run's own draws that are counted
STARVED = 0.1  # share of what the base density would give, below which we warn
END = 1e-3  # levels this near to 0 and 1 hold next to no noise or signal
CROWDED = 0.05  # share of draws there above which we warn
# Draws of a clip from which bands are questioned: their gain over their own density was
# lost at 19 and a loss at 38 (`analyses/tables`, "Ten times the steps").
REPEATED = 20
LEAST = 0.002  # buckets to which the base density itself gives less are left alone


@dataclass
class RealisedDensity:
    """The realised density of a run.

    Attributes:
        classes: Class names.
        clips: Clips of each class.
        counts: Draws by class and bucket ``[classes, BUCKETS]``.
        base: Share of each bucket under the base density ``[BUCKETS]``.
        base_cdf: Distribution function of the base density over all levels, at 0, 0.01
            and so on to 1 ``[101]``.
        shares: Expected share of all draws by class and bucket ``[BUCKETS]``.
        ends: Expected share of draws within `END` of sigma 0 or 1.
        grid: Points for curves ``[S]``.
        curves: Expected density ``[S]`` by class; together they integrate to 1.
        floored: Clips with scores too extreme for the sampler's formula.
        kept: Mean keep-probability of each class.
        boundary: Level between two experts, or None.
        above: Share of each class's draws at or above the boundary.
    """

    classes: list[str]
    clips: dict[str, int]
    counts: np.ndarray
    base: np.ndarray
    base_cdf: np.ndarray
    shares: dict[str, np.ndarray]
    ends: float
    grid: np.ndarray
    curves: dict[str, np.ndarray]
    floored: int
    kept: dict[str, float]
    boundary: float | None
    above: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return the counts for ``density.json``."""
        return {
            "buckets": BUCKETS,
            "draws": int(self.counts.sum()),
            "clips": self.clips,
            "counts": {c: self.counts[i].tolist() for i, c in enumerate(self.classes)},
            "base": self.base.tolist(),
            "base_cdf": self.base_cdf.tolist(),
            "floored_clips": self.floored,
            "mean_keep": self.kept,
            "boundary": self.boundary,
            "share_above_boundary": self.above if self.boundary else None,
        }


def realised_density(
    draws: DrawStream, total: int, boundary: float | None = None
) -> RealisedDensity:
    """Draw a run's first samples, as it will draw them, and count them.

    Args:
        draws: The run's draws.
        total: Draws of the run; at most `COUNTED_DRAWS` are counted.
        boundary: Level between the experts of a model with two.

    Returns:
        The density.
    """
    clips = draws.clips
    names = golden_first(clips.classes)
    row_of = {name: row for row, name in enumerate(names)}
    first = [draws.draw(index) for index in range(min(total, COUNTED_DRAWS))]
    sigma = np.array([draw.sigma for draw in first])
    rows = np.array([row_of[clips.classes[draw.clip]] for draw in first])
    counts = np.zeros((len(names), BUCKETS), dtype=int)
    np.add.at(counts, (rows, bucket_index(sigma)), 1)
    grid = (np.arange(200) + 0.5) / 200
    edges = np.clip(bucket_edges(), *draws.sampler.sigma_range)
    base = np.diff(draws.sampler.base.cdf(edges))
    ends = draws.class_shares(np.array([0, END, 1 - END, 1]))
    keep = draws.sampler.keep_probability(clips)
    above = {}
    if boundary is not None:
        for name in names:
            of_class = sigma[rows == row_of[name]]
            above[name] = float(np.mean(of_class >= boundary)) if len(of_class) else 0.0
    return RealisedDensity(
        classes=names,
        clips={name: int((clips.classes == name).sum()) for name in names},
        counts=counts,
        base=base / base.sum(),
        base_cdf=draws.sampler.base.cdf(np.linspace(0, 1, 101)),
        shares=draws.class_shares(bucket_edges()),
        ends=float(sum(s[[0, 2]].sum() for s in ends.values())),
        grid=grid,
        curves=draws.class_density(grid),
        floored=int(draws.sampler.floored_clips(clips).sum()),
        kept={name: float(keep[clips.classes == name].mean()) for name in names},
        boundary=boundary,
        above=above,
    )


def density_warnings(density: RealisedDensity) -> list[str]:
    """Name levels and classes that the run would hardly train.

    Args:
        density: The realised density.

    Returns:
        One sentence per fault, none when all is well.
    """
    warnings = []
    by_class = density.shares  # expected, not counted: few draws leave gaps by chance
    total = sum(part.sum() for part in by_class.values())
    shares = np.sum(list(by_class.values()), axis=0) / total
    starved = (shares < STARVED * density.base) & (density.base > LEAST)
    for first, last in _runs(starved):
        low, high = first / BUCKETS, (last + 1) / BUCKETS
        warnings.append(
            f"levels {low:g} to {high:g} are starved:"
            f" {100 * shares[first : last + 1].sum():.2g} % of draws, the base density"
            f" has {100 * density.base[first : last + 1].sum():.2g} %"
        )
    clips = sum(density.clips.values())
    for name in density.classes:
        share, fair = by_class[name].sum() / total, density.clips[name] / clips
        if share == 0:
            warnings.append(
                f"class {name} is never drawn ({density.clips[name]} clips)"
            )
        elif share < STARVED * fair:
            warnings.append(
                f"class {name} is starved: {100 * share:.2g} % of draws,"
                f" {100 * fair:.2g} % of clips"
            )
    if density.floored:
        warnings.append(
            f"{density.floored} clips have scores so far apart that a Beta parameter"
            " was raised to its floor"
        )
    if density.ends > CROWDED:
        warnings.append(
            f"{100 * density.ends:.2g} % of draws lie within {END:g} of sigma 0 or 1,"
            " where next to nothing is learned; scores less far apart, or a smaller"
            " --kappa-max, spread them"
        )
    if density.boundary is not None:
        for name, share in density.above.items():
            for expert, part in (("high", share), ("low", 1 - share)):
                if part < 0.01 and name in density.clips:
                    warnings.append(
                        f"class {name} hardly reaches the {expert}-noise expert:"
                        f" {100 * part:.2g} % of its draws"
                    )
    return warnings


def density_table(density: RealisedDensity) -> str:
    """Write the density as a table of shares of all draws, in percent.

    Args:
        density: The realised density.

    Returns:
        Lines: a head, one per class, all classes, the base density.
    """
    total = density.counts.sum()
    head = "".join(f"{b / BUCKETS:>6.1f}" for b in range(BUCKETS))
    expert = "" if density.boundary is None else f"{f'>={density.boundary:g}':>8}"
    lines = [
        f"share of {total} draws (%) by class and noise level (lower edge of bucket)",
        f"{'class':<18}{'clips':>7}{'keep':>6}{'draws':>7}{head}{expert}",
    ]
    for row, name in enumerate(density.classes):
        cells = "".join(f"{100 * x / total:>6.1f}" for x in density.counts[row])
        tail = "" if density.boundary is None else f"{100 * density.above[name]:>8.1f}"
        lines.append(
            f"{name:<18}{density.clips[name]:>7}{density.kept[name]:>6.2f}"
            f"{100 * density.counts[row].sum() / total:>7.1f}{cells}{tail}"
        )
    for name, values in (
        ("all", density.counts.sum(0) / total),
        ("base density", density.base),
    ):
        cells = "".join(f"{100 * x:>6.1f}" for x in values)
        lines.append(f"{name:<18}{'':>7}{'':>6}{100 * values.sum():>7.1f}{cells}")
    return "\n".join(lines)


def repetition_warning(clips: int, draws: int) -> str | None:
    """Warn of bands where every clip will be drawn often.

    Args:
        clips: Clips of the pool.
        draws: Draws of the run.

    Returns:
        A sentence; None where clips are not repeated that often.
    """
    times = draws / clips
    if times < REPEATED:
        return None
    return (
        f"each clip will be drawn {times:.0f} times on average: in our trials choosing"
        " classes by level gained at 6 times, and lost from 38 times on; give more"
        " clips, or let tqd-probe verify compare --sampler measured at as many steps"
    )


def _runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """List runs of True as first and last index."""
    runs: list[tuple[int, int]] = []
    for index in np.flatnonzero(mask):
        if runs and runs[-1][1] == index - 1:
            runs[-1] = (runs[-1][0], int(index))
        else:
            runs.append((int(index), int(index)))
    return runs
