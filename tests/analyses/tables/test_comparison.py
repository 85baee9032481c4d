"""Differences, goals and cost of samplers, on numbers known beforehand."""

import numpy as np
import pytest


def test_saved_passes_count_from_where_the_baseline_is_reached():
    from analyses.tables.comparison import cost

    def run(*losses):
        return {"curve": [[10 * i, x] for i, x in enumerate(losses)]}

    samplers = {"uniform": [run(1.0, 0.8, 0.6)], "bands": [run(1.0, 0.5, 0.4)]}
    found = cost({"A": samplers}, {"uniform": "baseline", "bands": "measured"}, 4, 99)
    assert found["probe_passes"] == 99
    assert found["saved_passes"]["A"]["bands"]["mean"] == pytest.approx(4 * (20 - 8))


def test_goal_intervals_widen_with_the_number_of_pairs_chosen_from():
    from analyses.tables.comparison import compare_trials

    rng = np.random.default_rng(3)
    seeds, clips, buckets = 5, 8, 3

    def runs(shift):
        noise = 0.01 * rng.standard_normal((seeds, clips, buckets))
        return [
            {
                "before": np.ones((clips, buckets)).tolist(),
                "after": (1 + shift + each).tolist(),
                "draws": {"golden": [1, 2], "visual_degraded": [3, 6]},
            }
            for each in noise
        ]

    kinds = {
        "uniform": "baseline",
        "Beta": "hand-set",
        "gate": "measured",
        "bands": "measured",
    }
    trials = {
        "A": {"uniform": runs(0.0)},
        "B": {
            "uniform": runs(0.05),
            "Beta": runs(0.0),
            "gate": runs(-0.05),
            "bands": runs(-0.1),
        },
    }
    found = compare_trials(trials, kinds, [], "gate")
    goals = found["goals"]
    assert (goals["B"]["measured"], goals["B"]["hand-set"]) == ("bands", "Beta")
    assert goals["B"]["pairs"] == 4
    minus = found["candidate_minus"]
    assert set(minus) == {"uniform", "Beta", "bands"}
    assert minus["bands"]["B"]["mean"] == pytest.approx(0.05, abs=0.01)
    assert list(minus["uniform"]) == ["B"]  # Set-A has no candidate
    line = found["candidate_table"].splitlines()[-1]
    assert line.startswith("| bands |  | **+")
    assert goals["B"]["difference"]["mean"] == pytest.approx(-0.1, abs=0.01)
    known = goals["B"]["candidate"]["difference"]
    assert known["mean"] == pytest.approx(-0.05, abs=0.01)
    gap = np.array([r["after"] for r in trials["B"]["gate"]])
    gap = (gap - np.array([r["after"] for r in trials["B"]["Beta"]])).mean(2)
    from tqd_probe.statistics.paired_difference import paired_difference

    assert known["low"] == pytest.approx(paired_difference(gap, 0.05 / 2).low)
    assert goals["candidate on B against uniform on A"]["high"] < 0
    assert found["rows"][0]["class_share"] == {"golden": 0.25, "visual_degraded": 0.75}
    # The short table: thousandths, bold where the interval leaves out 0.
    row = next(r for r in found["rows"] if r["sampler"] == "bands")
    gap = row["against_uniform"]
    line = next(x for x in found["summary"].splitlines() if x.startswith("| bands |"))
    assert line.startswith(f"| bands | measured |  | **{1000 * gap['mean']:+.1f} [")
    assert found["summary"].count("**") % 2 == 0
    assert found["beside_paper"] == ""


def test_samplers_with_fewer_seeds_are_paired_by_them_and_not_chosen_from():
    from analyses.tables.comparison import compare_trials

    def runs(*losses):
        return [{"before": [[1.0]] * 2, "after": [[x], [x + 0.1]]} for x in losses]

    trials = {
        "B": {
            "uniform": runs(1.0, 2.0, 3.0),
            "Beta": runs(0.9, 1.8, 3.0),
            "gate": runs(1.0, 1.0, 1.0),
            "few": runs(0.5, 0.5),
        }
    }
    kinds = dict(zip(trials["B"], ("baseline", "hand-set", "measured", "measured")))
    found = compare_trials(trials, kinds, [], "gate")
    few = next(row for row in found["rows"] if row["sampler"] == "few")
    assert few["seeds"] == 2
    assert few["against_uniform"]["mean"] == pytest.approx(-1.0)  # -0.5 and -1.5
    assert found["goals"]["B"]["measured"] == "gate"
    assert found["goals"]["B"]["difference"]["mean"] == pytest.approx(-0.9)


def test_generated_clips_and_carried_schedules_are_compared_in_pairs():
    from analyses.tables.comparison import compare_trials

    rng = np.random.default_rng(5)
    seeds, clips, buckets = 4, 6, 3
    shared = 0.3 * rng.standard_normal(seeds)

    def clip(flow):
        names = (
            "turning",
            "detail",
            "noise",
            "contrast",
            "red",
            "green",
            "blue",
            "smoothness",
            "motion",
            "visual",
        )
        return {"flow": flow} | {name: float(rng.random()) for name in names}

    def runs(shift, flow):
        return [
            {
                "before": np.ones((clips, buckets)).tolist(),
                "after": np.full((clips, buckets), 1 + shift + seed / 2).tolist(),
                "draws": {"golden": [1]},
                "generated": [clip(flow + seed) for _ in range(3)],
            }
            for seed in shared
        ]

    trials = {
        "A": {"uniform": runs(0, 1.0)},
        "B": {
            "uniform": runs(0.1, 1.0),
            "bands": runs(-0.2, 1.5),
            "bands, of start": runs(-0.15, 1.25),
        },
    }
    kinds = {"uniform": "baseline", "bands": "measured", "bands, of start": "measured"}
    found = compare_trials(trials, kinds, [clip(1.0) for _ in range(4)], "bands")
    rows = {(row["set"], row["sampler"]): row for row in found["rows"]}
    gap = rows["B", "bands"]["generated_against_uniform_on_A"]["flow"]
    # Seeds differ by far more than samplers do, and cancel.
    assert gap["mean"] == pytest.approx(0.5)
    assert gap["ci"] == pytest.approx([0.5, 0.5])
    assert "generated_against_uniform_on_A" not in rows["A", "uniform"]
    assert "**+0.500 [+0.500, +0.500]**" in found["generated_differences"]
    carried = found["carried"]["B"]["bands against bands, of start"]
    assert carried["mean"] == pytest.approx(-0.05)
    assert carried["high"] < 0
