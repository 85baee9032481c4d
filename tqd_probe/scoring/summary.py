"""Text of a score summary, for the terminal."""

from __future__ import annotations

from typing import Any


def format_summary(summary: dict[str, Any]) -> str:
    """Format the classes and the normalisation of a summary.

    Args:
        summary: Content of the summary file.

    Returns:
        Lines of text.
    """
    total = summary["clips"]
    if "from" in summary:
        source = f"{summary['published_as']}: mq from {summary['mq_column']!r}, vq from"
        lines = [f"{source} {summary['vq_column']!r}"]
    else:
        lines = [f"{summary['scoring']['scorer']}"]
    if summary.get("scale"):
        lines.append(f"scale: {summary['scale']} (by {summary['scale_from']})")
    if summary.get("remark"):
        lines.append(f"note: {summary['remark']}")
    for field, note in summary["columns"].items():
        low, _, middle, _, high = note["raw_quartiles"]
        lines.append(
            f"{field}: {note['scores']} scores from {low:g} to {high:g}, median"
            f" {middle:g}; {note['method']}; good from {note['threshold']:g}"
        )
    for name, count in summary["classes"].items():
        lines.append(f"{name:<16}{count:>9}  {count / total:6.1%}")
    if summary["unclassified"]:
        count = summary["unclassified"]
        lines.append(
            f"{'no class':<16}{count:>9}  {count / total:6.1%}  (a score is missing)"
        )
    if summary.get("quarantined"):
        lines.append(f"left out: {summary['quarantined']}")
    return "\n".join(lines) + "\n"
