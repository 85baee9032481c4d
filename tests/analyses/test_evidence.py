"""The arithmetic behind the evidence: distances, correlations, sets, resuming."""

import csv
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import logit
from scipy.stats import norm

from analyses.run_all import Step, run
from tqd_probe.sampling.clip_pool import ClipPool
from tqd_probe.sampling.registry import make_sampler
from tqd_probe.schedules.band_schedule import BandSchedule


def test_frechet_distance_of_gaussians_is_the_known_one():
    from analyses.tables.generated_clips import frechet

    rng = np.random.default_rng(0)
    golden = [{"a": x, "b": y} for x, y in rng.standard_normal((4000, 2))]
    moved = [{"a": 2 * r["a"] + 3, "b": r["b"]} for r in golden]
    assert frechet(golden, golden, ("a", "b")) == pytest.approx(0, abs=1e-6)
    # |mean|^2 = 9; trace part (2 - 1)^2 = 1; in units of the golden deviation, near 1
    assert frechet(moved, golden, ("a", "b")) == pytest.approx(10, rel=0.1)


def test_cosine_of_gradients_is_free_of_noise_bias():
    from analyses.worth.correlations import cosine_of

    rng = torch.Generator().manual_seed(1)
    mean = torch.randn(400, generator=rng)
    own = mean + torch.randn(40, 400, generator=rng)
    other = -0.5 * mean + torch.randn(40, 400, generator=rng)
    found = cosine_of(own, other)
    assert found["cosine"] == pytest.approx(-1, abs=0.1)
    assert found["first_order"] == pytest.approx(-0.5, abs=0.05)
    assert found["ci"][0] < found["cosine"] < found["ci"][1]
    assert found["resolved"] is True


def test_worth_is_one_where_cosine_orders_the_gains(monkeypatch):
    from analyses.worth import correlations

    monkeypatch.setattr(correlations, "RESAMPLES", 200)
    levels, names = [0.2, 0.8], ["blur:1", "blur:3", "blur:5"]
    rng = np.random.default_rng(2)
    before = 1 + 0.01 * rng.standard_normal((12, 2))
    gain = {
        ("blur:1", 0): 0.9,
        ("blur:3", 0): 0.3,
        ("blur:5", 0): -0.4,
        ("blur:1", 1): 0.8,
        ("blur:3", 1): 0.6,
        ("blur:5", 1): 0.1,
    }

    def losses(share, level):
        lower = before.copy()
        lower[:, level] -= 0.1 * share
        return (lower + 0.001 * rng.standard_normal(before.shape)).tolist()

    def trials(share, level):
        return [
            {
                "look": losses(share / 2, level),
                "end": losses(share, level),
                "cosine": {"cosine": share},
            }
            for _ in range(3)
        ]

    rows = [
        {
            "degradation": name,
            "sigma": levels[j],
            "raw": {
                "cosine": share,
                "ci": [share - 0.01, share + 0.01],
                "first_order": share,
                "resolved": True,
            },
            "adam": {"cosine": share, "ci": [share - 0.01, share + 0.01]},
            "latent_distance_over_noise": share,
        }
        for (name, j), share in gain.items()
    ]
    found = {f"{n} {levels[j]:g}": trials(s, j) for (n, j), s in gain.items()}
    found |= {f"golden {sigma:g}": trials(1.0, j) for j, sigma in enumerate(levels)}
    result = correlations.summarise(rows, before, found, levels, names)
    table = result["correlations"]["share of golden gain"]
    assert result["pairs_used"] == 6
    assert table["cosine"]["spearman"] == pytest.approx(1)
    assert table["cosine"]["measured_ci"][0] > 0.9
    # The further the degradation moves the latents, the better it is made to do here.
    assert table["latent distance over noise"]["spearman"] == pytest.approx(-1)
    assert result["points"][0]["achieved"]["share of golden gain"] == pytest.approx(
        0.9, abs=0.05
    )


def test_sana_rule_draws_logit_normals_moved_by_its_offsets(tmp_path):
    from analyses.tables.schedules import sana_schedule

    path = tmp_path / "sana.json"
    counts = {"golden": 20, "visual_degraded": 50, "motion_degraded": 30}
    assert sana_schedule("tiny", path, counts) < 0.01
    sampler = make_sampler("mixture", schedule=BandSchedule.load(path))
    names = list(counts)
    pool = ClipPool.of(names, [None] * 3, [None] * 3)
    p = np.array([0.25, 0.5, 0.75])
    for row, offset in enumerate((0.0, 1.1, -1.1)):
        levels = [sampler.quantile(np.full(3, q), pool)[row] for q in p]
        assert logit(levels) == pytest.approx(norm.ppf(p) + offset, abs=0.06)


def test_ablation_scores_leave_one_part_of_the_sampler(tmp_path):
    from analyses.tables.samplers import ablation_arms

    path = tmp_path / "set_a.csv"
    path.write_text(
        "video,caption,mq,vq,class,source\n"
        "a.mp4,x,0.9,0.3,visual_degraded,s\nb.mp4,y,0.2,0.7,motion_degraded,s\n"
    )
    arms = ablation_arms(path, defaultdict(lambda: Path("x.json")), 0, "A")
    files = {arm.name: arm.options.get("clips") for arm in arms}
    with open(files["quality dropout alone"], newline="") as handle:
        scores = [(float(r["mq"]), float(r["vq"])) for r in csv.DictReader(handle)]
    assert scores == [(0.9, 0.9), (0.7, 0.7)]  # flat Beta, keep as before
    with open(files["adaptive timestep alone"], newline="") as handle:
        scores = [(float(r["mq"]), float(r["vq"])) for r in csv.DictReader(handle)]
    assert [max(pair) for pair in scores] == pytest.approx([0.8, 0.8])
    assert [a - b for a, b in scores] == pytest.approx([0.6, -0.5])


def test_saved_passes_count_from_where_the_baseline_is_reached():
    from analyses.tables.comparison import cost

    def run(*losses):
        return {"curve": [[10 * i, x] for i, x in enumerate(losses)]}

    arms = {"uniform": [run(1.0, 0.8, 0.6)], "bands": [run(1.0, 0.5, 0.4)]}
    found = cost({"A": arms}, {"uniform": "baseline", "bands": "measured"}, 4, 99)
    assert found["probe_passes"] == 99
    assert found["saved_passes"]["A"]["bands"]["mean"] == pytest.approx(4 * (20 - 8))


def test_steps_done_before_are_skipped_until_their_script_changes(tmp_path):
    place, count = tmp_path / "place", tmp_path / "count"
    script = place / "analyses" / "one.py"
    script.parent.mkdir(parents=True)
    made = tmp_path / "made"
    text = f"open({str(count)!r}, 'a').write('x'); open({str(made)!r}, 'w')"
    script.write_text(text)
    step = Step("one", [str(script)], [made])
    for _ in range(2):
        assert run([step], place, tmp_path / "work") == 0
    assert count.read_text() == "x"
    script.write_text(text + "\n")
    assert run([step], place, tmp_path / "work") == 0
    assert count.read_text() == "xx"
    script.write_text("raise SystemExit(3)")
    assert run([step], place, tmp_path / "work") == 3
    notes = json.loads((tmp_path / "work" / "run_all.json").read_text())
    assert list(notes) == ["one"]
