"""Gates, arms and goals of the tables: numbers known beforehand."""

import csv
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

from tqd_probe.core.errors import InputError
from tqd_probe.models.load import load_model
from tqd_probe.sampling.clip_pool import ClipPool
from tqd_probe.sampling.registry import make_sampler
from tqd_probe.schedules.band_schedule import Curves

MODEL = {
    "family": "wan",
    "source": "x",
    "fingerprint": "sha256:0",
    "expert": None,
    "parameters": "all",
    "prediction": "flow_velocity",
}


def test_gate_trains_less_where_nothing_is_accepted_and_a_floor_keeps_some():
    from analyses.tables.cell_schedules import CELLS, CENTRES, cells_schedule, gate_mass

    low = (CENTRES < 0.5).astype(float)
    counts = {"golden": 10, "visual_degraded": 30, "motion_degraded": 0}
    even = np.ones(CELLS)
    mass = gate_mass({"visual_degraded": low}, counts, 0.0, even)
    assert mass.sum() == pytest.approx(1)
    # Golden 10 everywhere, visual 30 in the lower half: (10 + 30) / 2 + 10 / 2 = 25.
    assert mass[CENTRES < 0.5].sum() == pytest.approx(20 / 25)
    assert mass[CENTRES > 0.5, 1].sum() == 0
    sampler = make_sampler(
        "mixture", schedule=cells_schedule(MODEL, counts, mass, "gate")
    )
    pool = ClipPool.of(list(counts)[:2], [None] * 2, [None] * 2)
    median = sampler.quantile(np.full(2, 0.5), pool)
    assert median[1] == pytest.approx(0.25, abs=0.02)  # visual clips: lower half only
    assert median[0] == pytest.approx(0.5, abs=0.03)
    floored = gate_mass({"visual_degraded": low}, counts, 0.25, even)
    upper = floored[CENTRES > 0.5]
    assert upper[:, 1] / upper[:, 0] == pytest.approx(0.25 * 3)
    steep = gate_mass({}, counts, 0.0, CENTRES)
    assert steep.sum(1) == pytest.approx(CENTRES / CENTRES.sum())


def test_cells_in_bands_are_those_between_their_edges():
    from analyses.tables.cell_schedules import CELLS, CENTRES, cells_schedule, in_bands

    schedule = cells_schedule(MODEL, {"golden": 1}, np.ones((CELLS, 1)), "even")
    bands = {"a": [(0.0, 0.2), (0.7, 1.0)], "b": []}
    classes = {name: Curves.model_construct(bands=some) for name, some in bands.items()}
    found = in_bands(schedule.model_copy(update={"classes": classes}))
    assert found["a"].tolist() == ((CENTRES < 0.2) | (CENTRES > 0.7)).tolist()
    assert found["b"].sum() == 0


def test_worth_rises_with_the_cosine_and_skips_unusable_pairs():
    from analyses.tables.cell_schedules import CENTRES, by_worth, worth_curve

    def point(cosine, share, used=True):
        return {
            "predicted": {"cosine": cosine},
            "used": used,
            "achieved": {"share of golden gain": share},
        }

    worth = worth_curve(
        [
            point(0.9, -0.4),
            point(0.92, 0.8),
            point(0.94, 0.2),
            point(0.98, 0.9),
            point(0.99, -5.0, used=False),
        ]
    )
    # Pool adjacent violators: 0.8 and 0.2 become 0.5 each; below 0 nothing is worth.
    assert worth(np.array([0.5, 0.9])) == pytest.approx([0, 0])
    assert worth(np.array([0.92, 0.93, 0.94])) == pytest.approx([0.5] * 3)
    assert worth(np.array([0.98, 1.0, 1.02])) == pytest.approx([0.9, 1.0, 1.0])
    result = {
        "noise": {"levels": [0.2, 0.8]},
        "subjects": {
            "visual_degraded": {"kind": "class", "cosine": [None, 1.0]},
            "blur:3": {"kind": "degradation", "cosine": [0.0, 0.0]},
        },
    }
    found = by_worth(result, worth)
    assert list(found) == ["visual_degraded"]
    expected = np.clip((CENTRES - 0.2) / 0.6, 0, 1)  # unresolved: 0; linear between
    assert found["visual_degraded"] == pytest.approx(expected)


def test_signal_is_relative_to_the_strongest_level_and_never_below_a_quarter():
    from analyses.tables.cell_schedules import CENTRES, by_signal

    found = by_signal(
        {"noise": {"levels": [0.01, 0.99]}, "golden": {"signal": [4.0, -1.0]}}
    )
    assert found[0] == pytest.approx(1)
    assert found[-1] == pytest.approx(0.25)
    assert np.interp(0.5, CENTRES, found) == pytest.approx(0.625)


def test_arms_are_picked_by_ends_of_names_and_uniform_stays():
    from analyses.tables.samplers import Arm, chosen

    arms = [Arm(name, "measured") for name in ("uniform", "Beta, kappa_max 4", "bands")]
    names = [arm.name for arm in chosen(arms, "A", "", "A:kappa_max 4;B:bands")]
    assert names == ["uniform", "bands"]
    assert [arm.name for arm in chosen(arms, "C", "bands; 4", "")] == [
        arm.name for arm in (arms[0], *arms[1:])
    ]
    assert [arm.name for arm in chosen(arms, "C", "A:bands", "")] == ["uniform"]


def test_schedules_of_another_checkpoint_are_named_for_it():
    from analyses.tables.samplers import other_arms

    files = defaultdict(lambda: Path("x.json"))
    arms = other_arms("B", files, "half")
    assert [arm.name for arm in arms] == [
        "bands .95, of half",
        "bands .95, floor, of half",
        "gate by worth, of half",
        "mixture, joint, of half",
    ]
    assert {arm.kind for arm in arms} == {"measured"}


@pytest.mark.parametrize("reduced", [False, True])
def test_runs_of_the_evidence_name_samplers_that_exist(tmp_path, reduced):
    from analyses.tables.compare_samplers import parser
    from analyses.tables.runs import table_runs
    from analyses.tables.samplers import ablation_arms, arms_of, chosen, other_arms

    manifest = tmp_path / "set.csv"
    manifest.write_text("video,caption,mq,vq,class,source\na.mp4,x,0.9,0.3,a,s\n")
    files = defaultdict(lambda: Path("x.json"))
    names = []
    for name, options, out in table_runs(tmp_path, "half", reduced):
        args = parser().parse_args([*map(str, options), "--work", str(tmp_path)])
        names.append(name)
        assert args.out == out
        arms = {letter: arms_of(letter, files) for letter in args.sets.split(",")}
        for place in args.measured_on.split(",")[1:]:
            for letter in {"A", "B"} & set(arms):
                arms[letter] += other_arms(letter, files, place)
        for letter in filter(None, args.ablations.split(",")):
            arms[letter] += ablation_arms(manifest, files, args.remeasure, letter)
        for part in ";".join(filter(None, (args.only, args.skip, args.few))).split(";"):
            found = [a for x, some in arms.items() for a in chosen(some, x, part, "")]
            assert len(found) > len(arms), part  # uniform always stays
    full = ["half", "scratch", "plenty", "again", "often", "wide", "larger"]
    assert names == (full[:2] if reduced else full)


def test_goal_intervals_widen_with_the_number_of_pairs_chosen_from():
    from analyses.tables.comparison import judge

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
    found = judge(trials, kinds, [], "gate")
    goals = found["goals"]
    assert (goals["B"]["measured"], goals["B"]["hand-set"]) == ("bands", "Beta")
    assert goals["B"]["pairs"] == 4
    assert goals["B"]["difference"]["mean"] == pytest.approx(-0.1, abs=0.01)
    known = goals["B"]["candidate"]["difference"]
    assert known["mean"] == pytest.approx(-0.05, abs=0.01)
    gap = np.array([r["after"] for r in trials["B"]["gate"]])
    gap = (gap - np.array([r["after"] for r in trials["B"]["Beta"]])).mean(2)
    from tqd_probe.verification.verdict import difference

    assert known["low"] == pytest.approx(difference(gap, 0.05 / 2).low)
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
    from analyses.tables.comparison import judge

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
    found = judge(trials, kinds, [], "gate")
    few = next(row for row in found["rows"] if row["sampler"] == "few")
    assert few["seeds"] == 2
    assert few["against_uniform"]["mean"] == pytest.approx(-1.0)  # -0.5 and -1.5
    assert found["goals"]["B"]["measured"] == "gate"
    assert found["goals"]["B"]["difference"]["mean"] == pytest.approx(-0.9)


def test_severity_of_a_set_bounds_its_clips(tmp_path):
    from analyses.tables.samplers import make_sets

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


def test_wide_start_is_wider_and_loads(tmp_path):
    from analyses.worth.start_checkpoints import start_checkpoint
    from tqd_probe.models.load import load_model

    narrow = load_model("tiny", "cpu").network
    wide = load_model(start_checkpoint("wide", tmp_path, None), "cpu").network
    assert wide.config.num_attention_heads == 6
    count = [sum(p.numel() for p in each.parameters()) for each in (narrow, wide)]
    assert 1.8 < count[1] / count[0] < 2.4


def test_tables_run_from_start_to_end_and_resume(tmp_path, monkeypatch, capsys):
    from analyses.tables import compare_samplers
    from tqd_probe.core.errors import InputError

    worth = tmp_path / "worth.json"
    point = {
        "predicted": {"cosine": 0.9},
        "used": True,
        "achieved": {"share of golden gain": 0.5},
    }
    worth.write_text(json.dumps({"points": [point]}))
    command = [
        "compare_samplers.py",
        "--start",
        "tiny",
        "--sets",
        "B",
        "--only",
        "gate by worth",
        "--golden",
        "2",
        "--visual",
        "2",
        "--motion",
        "2",
        "--steps",
        "2",
        "--batch-size",
        "2",
        "--seeds",
        "1",
        "--held-out",
        "2",
        "--generated",
        "2",
        "--sample-steps",
        "1",
        "--validations",
        "1",
        "--probe-clips",
        "4",
        "--probe-draws",
        "1",
        "--probe-levels",
        "2",
        "--worth",
        str(worth),
        "--work",
        str(tmp_path / "work"),
        "--out",
        str(tmp_path / "out.json"),
    ]
    monkeypatch.setattr("sys.argv", command)
    compare_samplers.main()
    first = json.loads((tmp_path / "out.json").read_text())
    assert [row["sampler"] for row in first["rows"]] == ["uniform", "gate by worth"]
    assert "Set-B" in capsys.readouterr().out
    monkeypatch.setattr(compare_samplers, "train", None)  # nothing is trained twice
    compare_samplers.main()
    assert json.loads((tmp_path / "out.json").read_text())["rows"] == first["rows"]
    worth.write_text("{")
    with pytest.raises(InputError, match=str(worth)):
        compare_samplers.main()


def test_generated_clips_and_carried_schedules_are_compared_in_pairs():
    from analyses.tables.comparison import judge

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
    found = judge(trials, kinds, [clip(1.0) for _ in range(4)], "bands")
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


def test_a_wider_network_starts_from_its_own_step_file(tmp_path):
    from analyses.tiny.parts import (
        WIDE_HEADS,
        new_text_encoder,
        new_tokenizer,
        new_transformer,
    )
    from analyses.tiny.training_tools import step_file
    from analyses.worth.start_checkpoints import HALF_STEP, start_checkpoint

    with pytest.raises(InputError, match=r"heads6-step-01000.pt.*--stage wide"):
        start_checkpoint("wide-half", tmp_path, tmp_path)
    torch.manual_seed(7)
    network = new_transformer(WIDE_HEADS)
    encoder = new_text_encoder(len(new_tokenizer()))
    state = {"model": network.state_dict(), "encoder": encoder.state_dict()}
    torch.save(state, step_file(tmp_path, HALF_STEP, WIDE_HEADS))
    found = load_model(start_checkpoint("wide-half", tmp_path / "work", tmp_path))
    name = "blocks.4.ffn.net.2.weight"
    assert found.network.state_dict()[name].shape == (192, 576)
    assert torch.equal(found.network.state_dict()[name], network.state_dict()[name])
