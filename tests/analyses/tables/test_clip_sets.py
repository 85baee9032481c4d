"""The sets of clips."""

import csv


def test_severity_of_a_set_bounds_its_clips(tmp_path):
    from analyses.tables.clip_sets import make_sets

    sets = make_sets(tmp_path / "clips", 2, 3, 3, 5)
    with open(sets["A"], newline="") as handle:
        rows = list(csv.DictReader(handle))
    kinds = {row["source"] for row in rows if row["class"] != "golden"}
    assert all(kind.endswith(":5") for kind in kinds)
    assert len(rows) == 8
    with open(sets["B"], newline="") as handle:
        assert {row["class"] for row in csv.DictReader(handle)} == {
            "visual_degraded",
            "motion_degraded",
        }
