"""The closing table of a probe: bands per class, and what could not be said."""

from __future__ import annotations

from typing import Any

from tqd_probe.bands import uncovered
from tqd_probe.schedule import BandSchedule, Curves


def summary(result: dict[str, Any], schedule: BandSchedule) -> str:
    """Write the bands of every class and degradation as a table.

    Args:
        result: Content of ``gradsim.json``.
        schedule: The band schedule.

    Returns:
        Lines of text.
    """
    rows = [("", "bands of sigma", "cosine, lowest to highest sigma")]
    for entries in (schedule.classes, schedule.degradations_detail):
        rows += [(name, _bands(entry), _ends(entry)) for name, entry in entries.items()]
    first = max(len(row[0]) for row in rows)
    second = max(len(row[1]) for row in rows)
    lines = [f"{a:<{first}}  {b:<{second}}  {c}".rstrip() for a, b, c in rows]
    lines.insert(1, "-" * max(map(len, lines)))
    levels = schedule.noise.levels
    blank = uncovered(levels, [entry.bands for entry in schedule.classes.values()])  # type: ignore[arg-type]
    if blank:
        shown = ", ".join(f"{level:.3g}" for level in blank)
        lines.append(f"levels that only golden clips serve: {shown}")
    for index, known in enumerate(schedule.golden.resolved):
        if not known:
            wanted = result["golden"]["clips_to_resolve"][index]
            cure = (
                f"about {wanted:.0f} clips would resolve it"
                if wanted is not None
                else "no estimate of how many clips would"
            )
            lines.append(
                f"sigma {levels[index]:.3g}: golden gradient not resolved with"
                f" {schedule.golden.clips} clips, no band rests on it; {cure}"
            )
    left_out = result["clips"]["quarantine"]
    if left_out:
        lines.append(f"left out: {len(left_out)} clips, see gradsim.json")
    return "\n".join(lines) + "\n"


def _bands(entry: Curves) -> str:
    """Write bands as intervals."""
    if not entry.bands:
        return "none"
    return "  ".join(f"{low:.3f} to {high:.3f}" for low, high in entry.bands)


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
