"""Schedules and clips to be exported, and what an export must hold to."""

import copy
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from band_schedules import MEASURED, VERSION_2

from tqd_probe.exporting.export import Export, export_schedule
from tqd_probe.exporting.level_distribution import ks_distance

BANDS = {
    "visual_degraded": [[0.5, 1.0]],
    "motion_degraded": [[0.0, 0.25], [0.4, 0.6]],
}
COUNTS = {"golden": 4, "visual_degraded": 3, "motion_degraded": 2}


@dataclass(frozen=True)
class ExportCase:
    """A schedule and a manifest in a folder."""

    folder: Path
    bands: Path
    clips: Path

    def export(self, to, config, out="out", **more) -> Export:
        """Export and return what was written."""
        return export_schedule(
            self.bands, to, self.clips, config, self.folder / out, **more
        )


def export_case(folder, bands=BANDS, counts=COUNTS) -> ExportCase:
    """Write a schedule with these bands and a manifest of these clips."""
    value = copy.deepcopy(VERSION_2)
    value["degradations_detail"] = {}
    value["classes"] = {
        name: {
            **MEASURED,
            "bands": each,
            "edges_ci": [[[low, low], [high, high]] for low, high in each],
            "test": [],
            "avoid": [],
        }
        for name, each in bands.items()
    }
    (folder / "bands.json").write_text(json.dumps(value))
    lines = ["video,caption,class"]
    for name, count in counts.items():
        for index in range(count):
            (folder / f"{name}{index}.mp4").write_bytes(b"a video")
            lines.append(f'{name}{index}.mp4,"{name}, number {index}",{name}')
    (folder / "clips.csv").write_text("\n".join(lines) + "\n")
    return ExportCase(folder, folder / "bands.json", folder / "clips.csv")


def by_class(export: Export, expert=None):
    """Return the classes of an export by name, of one network."""
    found = {c.plan.name: c for c in export.classes if c.expert == expert}
    for each in found.values():
        again = ks_distance(each.realised, each.plan.wanted)
        assert each.distance == again
    assert np.isclose(sum(each.plan.share for each in found.values()), 1.0)
    return found
