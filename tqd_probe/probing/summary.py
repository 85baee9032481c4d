"""The closing table of a probe: where each class may be used, and what is undecided."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import numpy as np

from tqd_probe.clips.degradations import parse_degradations
from tqd_probe.core.clip_classes import (
    BOTH_DEGRADED,
    MOTION_DEGRADED,
    VISUAL_DEGRADED,
)
from tqd_probe.probing.decision import RUN, command_in
from tqd_probe.probing.result import ProbeResult
from tqd_probe.sampling.registry import measured_density
from tqd_probe.schedules.band_schedule import BandSchedule
from tqd_probe.schedules.bands import uncovered_levels
from tqd_probe.schedules.curves_schema import Curves
from tqd_probe.schedules.decision_schema import Decision
from tqd_probe.schedules.mixture_schema import Mixture

# Degradations that make copies of a class.
COPIES = {
    VISUAL_DEGRADED: "blur:3,noise:3",
    MOTION_DEGRADED: "slow:4",
    BOTH_DEGRADED: "blur:3+slow:4",
}
HEADER = ("", "use", "edges of use", "test", "avoid", "cosine, ends")


def summary_table(
    result: ProbeResult,
    schedule: BandSchedule,
    run: str = RUN,
    seconds: float | None = None,
) -> str:
    """Write where every class and degradation may be used as a table.

    Args:
        result: The result of a probe.
        schedule: The band schedule.
        run: Directory of the run, for the commands to run next.
        seconds: Seconds of a plain pass per clip, for their minutes; None if unknown.

    Returns:
        Lines of text.
    """
    lines = _table(schedule)
    levels = schedule.noise.levels
    blank = uncovered_levels(levels, [c.bands for c in schedule.classes.values()])
    lines += _notes(schedule)
    lines += _beside(result, schedule)
    if blank:
        shown = ", ".join(f"{level:.3g}" for level in blank)
        lines.append(f"levels that only golden clips serve: {shown}")
    for index, known in enumerate(schedule.golden.resolved):
        if not known:
            wanted = result.golden.clips_to_resolve[index]
            cure = (
                f"about {wanted:.0f} clips would resolve it"
                if wanted is not None
                else "no estimate of how many clips would"
            )
            lines.append(
                f"sigma {levels[index]:.3g}: golden gradient not resolved with"
                f" {schedule.golden.clips} clips, no band rests on it; {cure}"
            )
    known_snr = [value for value in schedule.golden.snr if value is not None]
    if known_snr:
        lines.append(
            f"golden signal-to-noise per clip: {min(known_snr):.3g} to"
            f" {max(known_snr):.3g}; it falls as training goes on,"
        )
        lines.append("and bands move: they are this checkpoint's")
    lines += _density(schedule)
    if schedule.severities:
        names = ", ".join(schedule.degradations_detail)
        lines.append(f"severities matched by latent distance: {names}")
    if schedule.mixture is not None:
        lines += _mixture(schedule.mixture, schedule.noise.levels)
    left_out = result.clips.quarantine
    if left_out:
        lines.append(f"left out: {len(left_out)} clips, see gradsim.json")
    if result.decision is not None:
        lines += _decision(result.decision, run, seconds)
    return "\n".join(lines) + "\n"


def _density(schedule: BandSchedule) -> list[str]:
    """Write how a density in proportion to golden gradients spreads its draws."""
    if schedule.golden_density is None:
        return []
    thirds = np.array([0, 1 / 3, 2 / 3, 1])
    low, middle, high = np.diff(measured_density(schedule).cdf(thirds))
    return [
        f"levels in proportion to golden gradients: {low:.0%}, {middle:.0%} and"
        f" {high:.0%} of draws",
        "  in the thirds of sigma (train --sampler measured; --base measured with"
        " bands)",
    ]


def _decision(decision: Decision, run: str, seconds: float | None) -> list[str]:
    """Write what classes are expected to bring, and what to run next."""
    lines = [
        f"{name}: expected to bring {each.expected.share:.2f}"
        f" [{each.expected.low:.2f}, {each.expected.high:.2f}] of what golden clips"
        " bring, in its bands"
        for name, each in decision.classes.items()
        if each.expected is not None
    ]
    if lines:
        lines.append(f"  (calibrated on {decision.calibration})")
    lines += [f"warning: {text}" for text in decision.warnings]
    for step in decision.next:
        work = f"{step.clip_gradients:,} clip-gradients"
        if seconds is not None:
            minutes = step.clip_gradients * seconds / 60
            work += f", about {minutes:.0f} min" if minutes >= 1 else ", under a minute"
        lines += [f"next: {step.purpose} ({work})", f"  {command_in(run, step)}"]
    if decision.next:
        lines.append(
            "  CLIPS: your clips with classes (tqd-probe score gives them); HELD_OUT:"
            " golden clips, none in CLIPS"
        )
    return lines


def _mixture(mixture: Mixture, levels: list[float]) -> list[str]:
    """Write the mixture: weights per level, and what is predicted of it."""
    names = mixture.classes
    lines = [
        "",
        f"mixture, {mixture.form} (experimental; compare by training before you rely on"
        " it)",
        "sigma   share  " + "  ".join(f"{name:>15}" for name in names),
    ]
    density = mixture.level_density or [float("nan")] * len(levels)
    for sigma, share, row in zip(levels, density, mixture.weights):
        cells = "  ".join(f"{weight:>15.2f}" for weight in row)
        lines.append(f"{sigma:<6.3g}  {share:>5.2f}  {cells}")
    if mixture.risk is not None:
        golden = mixture.risk["golden"]
        for name, values in mixture.risk.items():
            pairs = [(a, b) for a, b in zip(values, golden) if a is not None and b]
            if name != "golden" and pairs:
                ratio = sum(a for a, _ in pairs) / sum(b for _, b in pairs)
                lines.append(
                    f"predicted squared gradient error of {name}: {ratio:.3g} of that"
                    " of golden clips alone"
                )
    repaired = [value for value in mixture.psd_repair or [] if value > 0]
    if repaired:
        lines.append(
            f"products made positive semidefinite in {len(repaired)} of"
            f" {len(mixture.psd_repair or [])} problems: too few clips for their noise"
        )
    return lines


def _table(schedule: BandSchedule) -> list[str]:
    """Write a block of lines per class and degradation, an interval a line."""
    blocks: list[list[tuple[str, ...]]] = [[HEADER]]
    for entries in (schedule.classes, schedule.degradations_detail):
        blocks += [_block(name, entry) for name, entry in entries.items()]
    measured = [row for block in blocks for row in block if len(row) == len(HEADER)]
    widths = [max(len(row[column]) for row in measured) for column in range(6)]
    widths[0] = max(len(block[0][0]) for block in blocks)
    lines = [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths)).rstrip()
        for block in blocks
        for row in block
    ]
    lines.insert(1, "-" * (sum(widths) + 2 * len(widths) - 2))
    return lines


def _block(name: str, entry: Curves) -> list[tuple[str, ...]]:
    """Return the rows of a class or degradation."""
    if entry.status == "unmeasured":
        return [(name, f"not measured: {entry.reason}")]
    unknown: list[tuple[Any, Any]] = [(None, None)] * len(entry.bands)
    edges = entry.edges_ci or unknown
    columns = [
        [name],
        [_interval(band) for band in entry.bands] or ["none"],
        [" ".join(filter(None, map(_bounds, pair))) for pair in edges],
        [_interval(each) for each in entry.test or []],
        [_interval(each) for each in entry.avoid or []],
        [_ends(entry)],
    ]
    return list(zip_longest(*columns, fillvalue=""))


def _notes(schedule: BandSchedule) -> list[str]:
    """Write what the columns mean, and what is said of single classes."""
    stated = schedule.criterion
    lines = []
    if stated.name == "cosine":
        lines.append(
            f"use: cosine {stated.cos_min:g} or more, its lower bound"
            f" {stated.cos_min - stated.delta:g} or more, norms alike;"
        )
        lines.append(
            f"avoid: upper bound below {stated.cos_min:g}; test: neither is shown,"
            " more clips tell"
        )
    classes = schedule.measured_classes()
    wanted = {name: each.clips_for_stable_bands for name, each in classes.items()}
    counts = [f"{name} {n}" for name, n in wanted.items() if n is not None]
    if counts:
        lines += [
            f"clips from which on bands do not depend on their number, measured"
            f" {schedule.golden.clips}:",
            f"  {', '.join(counts)}",
        ]
    lines += [f"{name}: {each.reason}" for name, each in classes.items() if each.reason]
    return lines


def _beside(result: ProbeResult, schedule: BandSchedule) -> list[str]:
    """Write what decides nothing for its class, and what to do with unknown classes."""
    lines = []
    for name, compared in result.subjects.items():
        if compared.kind != "degradation":
            continue
        degradation = parse_degradations(name)[0]
        members = getattr(result.subjects.get(degradation.kind), "members", None)
        if degradation.extreme and members and name not in members:
            lines.append(
                f"{name}: the extreme, shown beside {degradation.kind}; it has no say"
                " there"
            )
    for name, entry in schedule.classes.items():
        if entry.status == "unmeasured":
            lines.append(
                f"{name} clips: measure copies ({COPIES[name]}), or train without"
                f" (--drop-class {name})"
            )
    return lines


def _interval(band: tuple[float, float]) -> str:
    """Write an interval of sigma."""
    return f"{band[0]:.3f}-{band[1]:.3f}"


def _bounds(interval: tuple[float, float] | None) -> str:
    """Write the interval of an edge; nothing where it is not known."""
    return "" if interval is None else f"[{interval[0]:.2f}, {interval[1]:.2f}]"


def _ends(entry: Curves) -> str:
    """Write the cosine of the first and the last level."""
    return " ... ".join(
        "-" if value is None else f"{value:.2f}"
        for value in (entry.cosine[0], entry.cosine[-1])
    )
