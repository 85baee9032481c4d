import json

import pytest
from probe_runs import finished

from tqd_probe.core.errors import InputError
from tqd_probe.probing.run_directory import recorded_settings
from tqd_probe.probing.settings import ProbeRunSettings
from tqd_probe.sampling.clip_pool import ClipPool
from tqd_probe.sampling.draw_stream import DrawStream
from tqd_probe.sampling.registry import make_sampler
from tqd_probe.schedules.band_schedule import BandSchedule
from tqd_probe.training.callbacks.reprobe import (
    density_distance,
    drift,
    probe_settings,
    reprobe_settings,
)
from tqd_probe.training.train import train
from tqd_probe.training.weight_metadata import read_metadata


def test_drift_and_distance(schedule):
    old = schedule.classes["visual_degraded"]
    new = old.model_copy(update={"bands": [(0.7, 0.9)], "cosine": [0.4, None, 0.7]})
    found = drift(old, new)
    assert found["bands_moved"] == pytest.approx(0.2, abs=1e-3)  # 0.6-0.7 and 0.9-1
    assert found["cosine_moved"] == pytest.approx((0.1 + 0.2) / 2)
    pool = ClipPool.of(["golden", "visual_degraded"])
    narrow = schedule.model_copy(deep=True)
    narrow.classes["visual_degraded"] = new
    a, b = (
        DrawStream(make_sampler("bands", schedule=s), pool, 0)
        for s in (schedule, narrow)
    )
    assert density_distance(a, a) == 0
    # half of all draws were spread over 0.4 of sigma and now are over 0.2 of it
    assert density_distance(a, b) == pytest.approx(0.5 * 0.5, abs=5e-3)


def test_a_schedule_without_a_probe_cannot_be_measured_again(schedule):
    odd = schedule.model_copy(deep=True)
    odd.provenance.argv = ["probe"]
    with pytest.raises(InputError, match="is no gradsim command"):
        probe_settings(odd)
    odd.provenance.settings = {"ckpt": "tiny", "colour": "red"}
    with pytest.raises(InputError, match=r"provenance\.settings: colour: "):
        probe_settings(odd)


def test_settings_are_recovered_from_either_provenance(schedule):
    # A command without settings is of a version with other defaults.
    former = {"dtype": "fp32", "vae_dtype": "fp32", "metric": "raw"}
    former["degradations"] = "blur:3,noise:3,downscale:3,freeze:5"
    wanted = ProbeRunSettings(ckpt="tiny", draws=3, norm_range="0.4,3", **former)
    new = schedule.model_copy(deep=True)
    new.provenance.settings = recorded_settings(wanted)
    assert probe_settings(new) == wanted
    del new.provenance.settings["metric"]  # of a version without metrics
    assert probe_settings(new) == wanted
    old = schedule.model_copy(deep=True)
    old.provenance.argv = [
        "gradsim",
        "--ckpt",
        "tiny",
        "--draws=3",
        "--norm-range",
        "0.4,3",
    ]
    assert probe_settings(old) == wanted


def test_weights_measured_again_have_their_lora_inside(tmp_path):
    """The present weights are a whole pipeline: no LoRA is loaded or fused again."""
    asked = ProbeRunSettings(ckpt="tiny", lora="some", fuse_lora=True, plan=True)
    found = reprobe_settings(asked, tmp_path, tmp_path / "run", "cpu", tmp_path)
    assert (found.lora, found.fuse_lora, found.plan) == (None, False, False)
    assert found.ckpt == str(tmp_path)


def test_the_schedule_is_measured_again_and_followed(pipeline, tmp_path):
    """On the weights as they are: what the run writes equals a probe of them."""
    base = "--num-clips 5 --levels 0.2,0.5,0.8 --draws 1 --degradations blur:4"
    extra = "--least-clips 4 --cos-min -0.5 --norm-range 0.01,100"
    finished(pipeline, tmp_path / "probe", base, extra)
    out = tmp_path / "run"
    options = {
        "ckpt": str(pipeline),
        "clips": "synthetic:6",
        "sampler": "bands",
        "schedule": tmp_path / "probe" / "bands.json",
        "steps": 5,
        "batch_size": 2,
        "warmup": 0,
        "lr": 0.02,
        "full": True,
        "reprobe_every": 2,
        "save_every": 2,
        "report_to": "none",
        "device": "cpu",
        "out": out,
    }
    done = train(**options, quiet=True)
    rows = [json.loads(x) for x in (out / "reprobe.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4]
    assert all(row["note"] is None for row in rows)
    assert rows[0]["classes"]["visual_degraded"]["cosine_moved"] > 0
    weights = out / "checkpoints" / "step-00000004" / "weights"
    finished(weights, tmp_path / "again", base, extra)
    found = BandSchedule.load(out / "schedules" / "step-00000004.json")
    expected = BandSchedule.load(tmp_path / "again" / "bands.json")
    assert found.classes == expected.classes
    assert found.golden == expected.golden
    assert found.model.fingerprint == expected.model.fingerprint
    file = next((done.weights / "transformer").glob("*.safetensors"))
    known = found.model_dump(mode="json", exclude_unset=True)
    assert json.loads(read_metadata(file)["schedule"]) == known
    # resumed in between: the same schedule is followed from there on
    state = (out / "checkpoints" / "step-00000005" / "state.json").read_bytes()
    weights = (
        out / "checkpoints" / "step-00000005" / "parameters.safetensors"
    ).read_bytes()
    import shutil

    shutil.rmtree(out / "checkpoints" / "step-00000005")
    train(**options, resume=True, quiet=True)
    newest = out / "checkpoints" / "step-00000005"
    assert (newest / "state.json").read_bytes() == state
    assert (newest / "parameters.safetensors").read_bytes() == weights
