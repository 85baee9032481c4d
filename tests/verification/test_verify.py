import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from spoilt_clips import write_schedule, write_spoilt_clips

from tqd_probe.core.errors import ConfigurationChanged, InputError
from tqd_probe.sampling.level_buckets import bucket_edges
from tqd_probe.training.callbacks import validation
from tqd_probe.verification.compared_samplers import parse_compared_samplers
from tqd_probe.verification.interim_analyses import (
    InterimAnalysis,
    plan_interim_analyses,
)
from tqd_probe.verification.report import format_report
from tqd_probe.verification.settings import VerificationRunSettings
from tqd_probe.verification.verify import check_inputs, planned_analyses, verify

MODEL = SimpleNamespace(
    fingerprint="sha256:a",
    encoder_fingerprint="b",
    sigma_range=(0.0, 1.0),
    timestep_levels=None,
)


def settings_of(out, clips, **more):
    values = {
        "ckpt": "tiny",
        "clips": str(clips),
        "golden": "synthetic:6",
        "samplers": "uniform,uniform",
        "out": out,
        "device": "cpu",
        "batch_size": 4,
        "micro_batch": 4,
        "warmup": 2,
    }
    return VerificationRunSettings(**values | more)


@pytest.fixture
def validated_after_training_only(monkeypatch):
    """Losses before training are 0: no comparison is made with them."""
    computed = validation.validation_losses

    def losses(training, clips, micro_batch):
        if training.step == 0:
            return np.zeros(clips.sigma.shape)
        return computed(training, clips, micro_batch)

    monkeypatch.setattr(validation, "validation_losses", losses)


@pytest.mark.long
@pytest.mark.usefixtures("validated_after_training_only")
def test_a_sampler_that_must_lose_loses(schedule, built_once, tmp_path):
    """Noise clips below sigma 0.5, for one of two samplers."""
    spoilt = built_once.get("spoilt", write_spoilt_clips) / "clips.csv"
    clean = write_schedule(schedule, tmp_path / "clean.json", [])
    noisy = write_schedule(schedule, tmp_path / "noisy.json", [(0.0, 0.5)])
    settings = settings_of(
        tmp_path / "run",
        spoilt,
        samplers=f"bands={clean},bands={noisy}",
        golden="synthetic:4",
        steps=6,
        seeds=4,
        lr=1e-2,
        early_stop=False,
    )
    result = verify(settings, quiet=True)
    (only,) = result.interim_analyses
    assert only.level == pytest.approx(0.05)  # one analysis, one comparison
    loses = result.comparisons["bands=noisy.json"]
    assert loses.outcome == "hurts"
    assert loses.difference.mean > 0
    losses = [np.array(each.loss_per_seed) for each in result.samplers.values()]
    assert (losses[1] > losses[0]).all()
    assert "**bands=noisy.json** hurts: raises the golden loss" in format_report(result)


def test_buckets_of_an_expert_lie_in_its_range(
    tmp_path, manifest, checkpoint, monkeypatch
):
    """Also: the losses before training are computed once for each seed."""
    steps, computed = [], validation.validation_losses

    def losses(training, clips, micro_batch):
        steps.append(training.step)
        return computed(training, clips, micro_batch)

    monkeypatch.setattr(validation, "validation_losses", losses)
    settings = settings_of(
        tmp_path / "run",
        manifest,
        ckpt=str(checkpoint("wan_experts")),
        expert="high",
        golden="synthetic:2",
        steps=1,
        seeds=2,
        warmup=0,
    )
    result = verify(settings, quiet=True)
    assert result.sigma_edges == pytest.approx(bucket_edges((0.875, 1.0)))
    assert steps == [0, 1, 1] * 2  # two samplers, two seeds


@pytest.mark.parametrize("changed", ["clips", "golden"])
def test_changed_clips_of_a_folder_are_other_inputs(tmp_path, folder_of_clips, changed):
    folder = tmp_path / "folder"
    shutil.copytree(folder_of_clips, folder)
    sources = {"clips": "synthetic:2", "golden": "synthetic:2"} | {changed: str(folder)}
    settings = settings_of(tmp_path / "run", **sources)
    samplers = parse_compared_samplers(settings.samplers)
    before = check_inputs(settings, samplers, MODEL)
    assert check_inputs(settings, samplers, MODEL) == before
    video = folder / "c0.mp4"
    video.write_bytes(video.read_bytes() + b"\0")
    after = check_inputs(settings, samplers, MODEL)
    assert {key for key in after if after[key] != before[key]} == {"clips"}
    (folder / "c1.txt").write_text("something else")
    assert check_inputs(settings, samplers, MODEL)["clips"] != after["clips"]


def test_clips_of_a_dropped_class_are_left_out_and_said_once(tmp_path, manifest):
    settings = settings_of(tmp_path / "run", manifest, golden="synthetic:2")
    samplers, said = parse_compared_samplers("uniform,uniform,logit_normal"), []
    every = check_inputs(settings, samplers, MODEL)
    settings.drop_class = "motion_degraded"
    fewer = check_inputs(settings, samplers, MODEL, said.append)
    assert said == ["left out by --drop-class: 3 clips of motion_degraded"]
    assert fewer["clips"] != every["clips"]


def test_another_configuration_is_refused_before_any_trial(tmp_path, manifest):
    """Longer steps too, at a constant rate: shorter trials have other losses."""
    common = {"lr_schedule": "constant", "golden": "synthetic:2", "seeds": 2}
    settings = settings_of(tmp_path / "run", manifest, steps=3, **common)
    settings.out.mkdir()
    inputs = check_inputs(settings, parse_compared_samplers(settings.samplers), MODEL)
    assert inputs["checkpoint"] == "sha256:a"
    (settings.out / "run.json").write_text(
        '{"settings": {"steps": 2}, "inputs": {}, "versions": {}}'
    )
    with pytest.raises(ConfigurationChanged) as error:
        verify(settings, quiet=True)
    assert "holds a verification with another configuration" in str(error.value)
    assert "--resume" not in str(error.value)
    assert [path.name for path in settings.out.iterdir()] == ["run.json"]


def test_a_schedule_is_read_before_the_first_trial(tmp_path, manifest):
    settings = settings_of(
        tmp_path / "run", manifest, samplers=f"uniform,bands={tmp_path}/none.json"
    )
    with pytest.raises(InputError, match=r"none\.json: no such file"):
        verify(settings, quiet=True)
    assert not settings.out.exists()


def test_only_analyses_and_comparisons_that_are_made_share_the_error(tmp_path):
    settings = settings_of(tmp_path, "a.csv")
    share = (1 - 0.95) / 3  # three comparisons with the baseline, not six pairs
    planned = planned_analyses(settings, comparisons=3)
    assert list(planned.values()) == list(plan_interim_analyses(5, True, share))
    once = settings.model_copy(update={"early_stop": False})
    only = InterimAnalysis(seeds=5, level=share, error_spent=share)
    assert planned_analyses(once, comparisons=3) == {5: only}
    assert planned_analyses(once, comparisons=1)[5].level == pytest.approx(0.05)
