"""Options of a training that do not fit together, refused before anything is loaded."""

import pytest
from pydantic import ValidationError

from tqd_probe.core.command_line import parse
from tqd_probe.train import TrainOptions
from tqd_probe.training.settings import TrainRunSettings


def settings(**values):
    base = {"ckpt": "tiny", "clips": "synthetic:8", "steps": 100, "out": "run"}
    return TrainRunSettings(**base | values)


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ({"sampler": "bands"}, "--sampler bands needs --schedule bands.json"),
        ({"sampler": "mixture"}, "--sampler mixture needs --schedule bands.json"),
        (
            {"sampler": "mixture", "schedule": "b.json", "order": "clip"},
            "--sampler mixture draws the level first; leave out --order",
        ),
        ({"sampler": "measured"}, "--sampler measured needs --schedule bands.json"),
        ({"base": "measured"}, "--base measured needs --schedule bands.json"),
        (
            {"base": "measured", "sampler": "uniform", "schedule": "b.json"},
            "--base measured: --sampler uniform has a density of its own",
        ),
        (
            {"base": "measured", "sampler": "beta", "schedule": "b.json"},
            "--base measured: --sampler beta has a density of its own",
        ),
        (
            {"base": "measured", "schedule": "b.json", "shift": 3.0},
            "--shift: the measured density is of sigma and takes no shift",
        ),
        ({"reprobe_every": 9}, "--reprobe-every needs a --schedule"),
        ({"validate_every": 9}, "--validate-every needs clips"),
        ({"agreement_every": 9}, "--agreement-every needs clips"),
        ({"warmup": 100}, "--warmup 100: not below --steps 100; lower it"),
        (
            {"sampler": "gamma"},
            "'logit_normal', 'measured', 'beta', 'bands'",
        ),
        ({"expert": "both"}, "'high' or 'low'"),
        ({"drop_class": "golden"}, "'golden': not a class that can be left out"),
        ({"drop_class": "both_degraded,"}, "'': not a class that can be left out"),
        ({"steps": 0}, "greater than or equal to 1"),
        ({"text_dropout": 1.1}, "less than or equal to 1"),
        ({"gradient_checkpointing": True}, "Extra inputs"),
    ],
)
def test_options_that_do_not_fit_are_refused(values, shown):
    with pytest.raises(ValidationError, match=shown.replace(".", "[.]")):
        settings(**values)


def test_defaults_are_a_training_of_a_lora_by_uniform_levels():
    made = settings()
    assert (made.sampler, made.base, made.space, made.full) == (
        "uniform",
        "uniform",
        "u",
        False,
    )
    assert (made.lr, made.warmup, made.batch_size, made.lora_rank) == (1e-4, 50, 8, 16)
    assert (made.beta1, made.beta2, made.weight_decay) == (0.9, 0.999, 0.01)


def test_a_schedule_alone_is_trained_by_its_bands():
    assert settings(schedule="b.json").sampler == "bands"
    assert settings(schedule="b.json", sampler="uniform").sampler == "uniform"
    assert settings(schedule="b.json", base="measured").sampler == "bands"
    again = settings(**settings(schedule="b.json", sampler="beta").model_dump())
    assert again.sampler == "beta"
    argv = [
        "--ckpt",
        "tiny",
        "--clips",
        "c",
        "--steps",
        "9",
        "--out",
        "o",
        "--schedule",
        "b.json",
    ]
    assert parse(TrainOptions, argv, "train").sampler == "bands"


def test_classes_to_leave_out_are_listed():
    assert settings(drop_class="both_degraded, visual_degraded").dropped_classes() == [
        "both_degraded",
        "visual_degraded",
    ]
    assert settings().dropped_classes() == []


@pytest.mark.parametrize("clips", [{"validation": "v"}, {"hold_out": 2}])
def test_validation_takes_clips_of_its_own_or_held_out_ones(clips):
    made = settings(validate_every=5, agreement_every=10, **clips)
    assert (made.validate_every, made.agreement_every) == (5, 10)


def test_settings_survive_a_round_through_json():
    made = settings(steps=24, schedule="b.json", sampler="bands")
    again = TrainRunSettings.model_validate_json(made.model_dump_json())
    assert again == made
    assert again.warmup == 12
