"""Real imbalanced clips beside golden ones."""

import csv
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from probe_runs import fails, finished

from tqd_probe.probing.unpaired import unpaired_clips, warn_of_copies
from tqd_probe.schedules.band_schedule import BandSchedule


def test_classes_of_few_clips_are_left_out(caplog):
    others = {"motion_degraded": [1, 2, 3], "visual_degraded": list(range(10))}
    few = {"motion_degraded": 3}
    assert unpaired_clips(others, 8) == ({"visual_degraded": list(range(8))}, few)
    assert "class motion_degraded: its 3 real clips are not probed" in caplog.text
    assert unpaired_clips(others, None)[0]["visual_degraded"] == list(range(10))
    # 8 are needed for an interval; fewer leave the class to its degraded copies
    assert unpaired_clips(others, 7)[1] == {"visual_degraded": 7, **few}


def test_copies_of_golden_scenes_are_named(caplog):
    golden, copies, others = (
        [SimpleNamespace(caption=text) for text in some]
        for some in (["a", "b", ""], ["a ", "a", "c", ""], ["d", ""])
    )
    warn_of_copies(golden, {"visual_degraded": copies, "motion_degraded": others})
    (line,) = caplog.messages
    assert "class visual_degraded: 2 of 4 clips have the caption of a golden" in line


def test_real_imbalanced_clips_are_probed_unpaired(pipeline, scored, tmp_path, caplog):
    base = "--draws 2 --levels 0.3,0.8 --degradations none --mq-min 0.5 --vq-min 0.5"
    out = tmp_path / "u"
    result = finished(pipeline, out, base, f"--clips {scored}")
    assert "class motion_degraded: its 3 real clips are not probed" in caplog.text
    schedule = BandSchedule.load(out / "bands.json")
    entry = schedule.classes["visual_degraded"]
    assert (entry.clips, entry.paired, entry.degradations) == (8, False, {})
    assert schedule.golden.clips == 8
    few = schedule.classes["motion_degraded"]
    assert few.status == "unmeasured"
    assert few.reason == "3 real clips; 8 are needed, and no degraded copies"
    # Clips without a degradation are as golden as the others.
    level = int(np.argmax(result["golden"]["snr"]))
    low, high = entry.cosine_ci[level]
    assert low <= 1 <= high
    rows = list(csv.DictReader((out / "clips.csv").read_text().splitlines()))
    assert len(rows) == 16 * 2
    golden = [r for r in rows if r["class"] == "golden" and r["sigma"] == "0.3"]
    # the mean clip is as useful as the mean clip
    values = [float(row["usefulness"]) for row in golden]
    assert np.mean(values) == pytest.approx(1.0, abs=1e-4)


def test_a_missing_score_is_named(pipeline, scored, tmp_path, capsys):
    pool = shutil.copytree(scored.parent, tmp_path / "pool")
    path = pool / "bad.csv"
    path.write_text(scored.read_text().replace(",0.9,0.8\n", ",0.9,\n", 1))
    argv = ["--ckpt", str(pipeline), "--out", str(tmp_path / "x"), "--clips", str(path)]
    fails(
        capsys, [*argv, "--mq-min", "0.5", "--vq-min", "0.5"], "vq: missing", "c0.mp4"
    )
