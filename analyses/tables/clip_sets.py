"""The sets of clips that samplers are compared on, as in the paper.

Set-A is everything, Set-B the imbalanced clips, Set-C the golden ones (fewer).
"""

from __future__ import annotations

import csv
from pathlib import Path

from analyses.tables.make_imbalanced import write_set

SETS = {
    "A": ("golden", "visual_degraded", "motion_degraded"),
    "B": ("visual_degraded", "motion_degraded"),
    "C": ("golden",),
}
CLASSES = SETS["A"]


def make_sets(
    folder: Path, golden: int, visual: int, motion: int, severity: int = 2
) -> dict[str, Path]:
    """Write the clips once, and a manifest for each set.

    Args:
        folder: Where they go.
        golden: Clips of that class, as the next two.
        visual: The same.
        motion: The same.
        severity: Least severity of degraded clips.

    Returns:
        Manifests by the set's letter.
    """
    found = {letter: folder / f"set_{letter.lower()}.csv" for letter in SETS}
    if not (folder / "clips.csv").exists():
        write_set(folder, dict(zip(CLASSES, (golden, visual, motion))), 500, severity)
    with open(folder / "clips.csv", newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    for letter, path in found.items():
        with open(path, "w", newline="", encoding="utf-8") as handle:
            table = csv.DictWriter(handle, rows[0].keys())
            table.writeheader()
            table.writerows(row for row in rows if row["class"] in SETS[letter])
    return found
