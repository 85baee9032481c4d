"""The closing table of a probe: bands per class, and levels that are undecided."""

from __future__ import annotations

from typing import Any

from tqd_probe.probing.result import ProbeResult
from tqd_probe.schedules.band_schedule import BandSchedule, Curves
from tqd_probe.schedules.bands import uncovered_levels
from tqd_probe.schedules.mixture_schema import Mixture


def summary_table(result: ProbeResult, schedule: BandSchedule) -> str:
    """Write the bands of every class and degradation as a table.

    Args:
        result: The result of a probe.
        schedule: The band schedule.

    Returns:
        Lines of text.
    """
    rows = [("", "bands of sigma, edges", "cosine, lowest to highest sigma")]
    for entries in (schedule.classes, schedule.degradations_detail):
        rows += [(name, _bands(entry), _ends(entry)) for name, entry in entries.items()]
    first = max(len(row[0]) for row in rows)
    second = max(len(row[1]) for row in rows)
    lines = [f"{a:<{first}}  {b:<{second}}  {c}".rstrip() for a, b, c in rows]
    lines.insert(1, "-" * max(map(len, lines)))
    levels = schedule.noise.levels
    blank = uncovered_levels(levels, [c.bands for c in schedule.classes.values()])
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
            f" {max(known_snr):.3g}; it falls as training goes on, and bands move:"
            " they are this checkpoint's"
        )
    if schedule.severities:
        names = ", ".join(schedule.degradations_detail)
        lines.append(f"severities matched by latent distance: {names}")
    if schedule.mixture is not None:
        lines += _mixture(schedule.mixture, schedule.noise.levels)
    left_out = result.clips.quarantine
    if left_out:
        lines.append(f"left out: {len(left_out)} clips, see gradsim.json")
    return "\n".join(lines) + "\n"


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


def _bands(entry: Curves) -> str:
    """Write bands as intervals, each edge with its own."""
    if not entry.bands:
        places = [f"{low:.2f} to {high:.2f}" for low, high in entry.possible or []]
        return f"none (not excluded: {', '.join(places)})" if places else "none"
    unknown: list[tuple[Any, Any]] = [(None, None)] * len(entry.bands)
    edges = entry.edges_ci or unknown
    return "  ".join(
        f"{_edge(low, first)} to {_edge(high, last)}"
        for (low, high), (first, last) in zip(entry.bands, edges)
    )


def _edge(edge: float, interval: tuple[float, float] | None) -> str:
    """Write an edge with its interval, unless that is the edge alone."""
    if interval is None or interval[1] - interval[0] < 5e-4:
        return f"{edge:.3f}"
    return f"{edge:.3f} [{interval[0]:.2f}, {interval[1]:.2f}]"


def _ends(entry: Curves) -> str:
    """Write the cosine of the first and the last level with their intervals."""
    parts = []
    for index in (0, -1):
        value, bounds = entry.cosine[index], entry.cosine_ci[index]
        if value is None or bounds is None:
            parts.append("undefined")
        else:
            parts.append(f"{value:.2f} [{bounds[0]:.2f}, {bounds[1]:.2f}]")
    return " ... ".join(parts)
