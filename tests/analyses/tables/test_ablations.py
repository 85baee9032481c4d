"""Parts of TQD alone."""

import csv
from collections import defaultdict
from pathlib import Path

import pytest


def test_ablation_scores_leave_one_part_of_the_sampler(tmp_path):
    from analyses.tables.ablations import ablations_of

    path = tmp_path / "set_a.csv"
    path.write_text(
        "video,caption,mq,vq,class,source\n"
        "a.mp4,x,0.9,0.3,visual_degraded,s\nb.mp4,y,0.2,0.7,motion_degraded,s\n"
    )
    samplers = ablations_of(path, defaultdict(lambda: Path("x.json")), 0, "A")
    files = {sampler.name: sampler.options.get("clips") for sampler in samplers}
    with open(files["quality dropout alone"], newline="") as handle:
        scores = [(float(r["mq"]), float(r["vq"])) for r in csv.DictReader(handle)]
    assert scores == [(0.9, 0.9), (0.7, 0.7)]  # flat Beta, keep as before
    with open(files["adaptive timestep alone"], newline="") as handle:
        scores = [(float(r["mq"]), float(r["vq"])) for r in csv.DictReader(handle)]
    assert [max(pair) for pair in scores] == pytest.approx([0.8, 0.8])
    assert [a - b for a, b in scores] == pytest.approx([0.6, -0.5])
