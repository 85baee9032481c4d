import csv
import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from crashing_decoder import crash_on
from training_runs import argv, fails, options, scheduled, stream_of

from tqd_probe.core.errors import InputError
from tqd_probe.models.load import load_model
from tqd_probe.sampling import level_density
from tqd_probe.sampling.clip_pool import ClipPool
from tqd_probe.sampling.registry import make_sampler
from tqd_probe.train import main
from tqd_probe.training.train import train
from tqd_probe.training.weight_metadata import read_metadata


def test_bad_clips_go_to_quarantine_up_to_a_cap(pipeline, manifest, tmp_path, capsys):
    folder = tmp_path / "pool"
    shutil.copytree(manifest.parent, folder)
    (folder / "c1.mp4").write_bytes(b"not a video at all")
    (folder / "c4.mp4").unlink()
    values = options(
        pipeline, folder / "clips.csv", tmp_path / "a", steps=3, hold_out=0
    )
    values |= {"validate_every": 0}
    fails(capsys, {**values, "max_bad": 1}, "c1.mp4", "2 bad clips, --max-bad 1")
    assert set(json.loads((tmp_path / "a" / "quarantine.json").read_text())) == {
        "c1",
        "c4",
    }
    assert main([*argv(values), "--max-bad", "2"]) == 0
    drawn = {row["clip"] for row in stream_of(tmp_path / "a")}
    assert drawn.isdisjoint({"c1", "c4"})


def test_a_clip_that_crashes_its_decoder_is_a_bad_one(
    pipeline, manifest, tmp_path, capsys, monkeypatch
):
    """Clips that were encoded before are kept for the next try."""
    crash_on(monkeypatch, "c4.mp4", signal.SIGSEGV)
    values = options(pipeline, manifest, tmp_path / "a", steps=3, hold_out=0)
    values |= {"validate_every": 0, "cache": tmp_path / "cache"}
    fails(capsys, values, "c4.mp4: video: crashes its decoder (SIGSEGV)", "replace it")
    clips = len(manifest.read_text().splitlines()) - 1
    kept = [*(tmp_path / "cache").rglob("latents/**/*.safetensors")]
    assert len(kept) == clips - 1
    assert main([*argv(values), "--max-bad", "1"]) == 0
    assert "c4" not in {row["clip"] for row in stream_of(tmp_path / "a")}


@pytest.mark.parametrize("sampler", ["bands", "beta"])
def test_bands_on_clips_drawn_often_are_questioned(
    pipeline, manifest, schedule, tmp_path, capsys, monkeypatch, sampler
):
    monkeypatch.setattr(level_density, "REPEATED", 2)
    values = options(pipeline, manifest, tmp_path / "run", sampler=sampler, steps=8)
    values |= {"schedule": scheduled(schedule, pipeline, tmp_path / "bands.json")}
    del values["kappa_max"]
    assert main(argv({**values, "validate_every": 0})) == 0
    often = "warning: each clip will be drawn" in capsys.readouterr().out
    assert often == (sampler == "bands")


def test_a_schedule_must_be_of_this_model(
    pipeline, manifest, schedule, tmp_path, capsys
):
    schedule.save(tmp_path / "bands.json")
    values = options(pipeline, manifest, tmp_path / "run", sampler="bands")
    values |= {"schedule": tmp_path / "bands.json"}
    fails(capsys, values, "measured on other weights", "--allow-model-mismatch")
    assert not (tmp_path / "run" / "run.json").exists()
    other = schedule.model_copy(deep=True)
    other.model.prediction = "epsilon"
    other.save(tmp_path / "bands.json")
    fails(
        capsys,
        {**values, "allow_model_mismatch": True},
        "model.prediction",
        "'epsilon'",
        "'flow_velocity'",
    )


def test_levels_follow_the_density_that_the_schedule_measured(
    pipeline, manifest, schedule_with_density, tmp_path
):
    """Of 8 draws each lies where the run's uniform number meets the density."""
    schedule_with_density.model.fingerprint = load_model(str(pipeline)).fingerprint
    schedule_with_density.save(tmp_path / "bands.json")
    given = {"schedule": tmp_path / "bands.json", "steps": 2, "warmup": 0}
    given |= {"validate_every": 0, "hold_out": 0, "kappa_max": None}
    drawn = {}
    for name, more in {
        "uniform": {"sampler": "uniform"},
        "measured": {"sampler": "measured"},
        "bands": {"sampler": "bands", "base": "measured"},
    }.items():
        values = options(pipeline, manifest, tmp_path / name, **given | more)
        assert main(argv(values)) == 0
        drawn[name] = [(row["clip"], row["sigma"]) for row in stream_of(values["out"])]
    base = make_sampler("measured", schedule=schedule_with_density).base
    for (clip, sigma), (other, level) in zip(drawn["measured"], drawn["uniform"]):
        assert clip == other
        assert sigma == pytest.approx(float(base.quantile(np.array(level))))
    bands = {"visual_degraded": [(0.6, 1)], "motion_degraded": [(0, 0.3), (0.5, 0.7)]}
    with open(manifest, encoding="utf-8") as file:
        rows = csv.DictReader(file)
        classes = {Path(row["video"]).stem: row["class"] for row in rows}
    for clip, sigma in drawn["bands"]:
        allowed = bands.get(classes[clip], [(0, 1)])
        assert any(low <= sigma <= high for low, high in allowed)


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        ({"sampler": "bands", "kappa_max": None}, ["--sampler bands needs --schedule"]),
        ({"hold_out": 0}, ["--validate-every needs clips"]),
        (
            {"hold_out": 0, "validate_every": None, "agreement_every": 2},
            ["--agreement-every needs clips"],
        ),
        ({"hold_out": 3}, ["--hold-out 3", "has 3 clips"]),
        ({"warmup": 7}, ["--warmup 7: not below --steps 7"]),
        ({"steps": 0}, ["--steps 0"]),
        ({"device": "tpu"}, ["--device", "tpu", "'cuda'"]),
        ({"clips": "nowhere"}, ["nowhere: no such folder"]),
        ({"prompts": "none.txt", "sample_every": 2}, ["--prompts none.txt"]),
        ({"prompts": "none.txt"}, ["none.txt: no sample videos", "--sample-every"]),
        ({"full": None, "lora_targets": "attn9"}, ["attn9"]),
        (
            {"validation": "synthetic:2", "schedule": "no.json"},
            ["no.json: no such file"],
        ),
    ],
)
def test_bad_options(pipeline, manifest, tmp_path, capsys, changed, shown):
    values = options(pipeline, manifest, tmp_path / "run", **changed)
    fails(capsys, {k: v for k, v in values.items() if v is not None}, *shown)


def test_defaults_never_refuse_each_other(pipeline, manifest, tmp_path, capsys):
    """A warm-up longer than the run, and the sampler beta without kappa_max."""
    values = options(pipeline, manifest, tmp_path, steps=3, full=True)
    del values["warmup"], values["kappa_max"]
    assert main(argv(values)) == 0
    assert "--kappa-max not given: 8" in capsys.readouterr().out
    note = json.loads((tmp_path / "run.json").read_text())
    assert note["settings"]["warmup"] == 1
    weights = tmp_path / "result" / "transformer"
    metadata = read_metadata(next(weights.glob("*.safetensors")))
    assert json.loads(metadata["sampler"])["kappa_max"] == 8


def test_files_lists_what_was_written(pipeline, manifest, tmp_path):
    values = options(pipeline, manifest, tmp_path, steps=2, warmup=0)
    done = train(**values, quiet=True, figures=False)
    assert done.files == [tmp_path / "metrics.jsonl"]
    assert not list(tmp_path.glob("*.png"))


def test_unknown_options_are_refused(capsys):
    fails(capsys, ["--ckpt", "x", "--learning-rate", "1"], "--learning-rate")
    with pytest.raises(InputError, match="none is kept"):
        make_sampler("beta", kappa_max=8).check(ClipPool.of(["golden"], [0.0], [0.0]))
