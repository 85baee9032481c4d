import pytest
from pydantic import ValidationError

from tqd_probe.verification.compared_samplers import parse_compared_samplers
from tqd_probe.verification.settings import VerificationRunSettings
from tqd_probe.verification.trials import training_settings


def settings_of(out, **more):
    return VerificationRunSettings(ckpt="tiny", clips="a", golden="g", out=out, **more)


@pytest.mark.parametrize("steps", [1, 2, 24, 50, 51])
def test_the_default_warm_up_ends_within_few_steps(tmp_path, steps):
    settings = settings_of(tmp_path, steps=steps)
    assert settings.warmup < steps
    for sampler in parse_compared_samplers(settings.samplers):
        trial = training_settings(settings, sampler, 0, tmp_path)
        assert (trial.steps, trial.warmup) == (steps, settings.warmup)


def test_a_warm_up_that_was_asked_for_is_not_shortened(tmp_path):
    with pytest.raises(ValidationError, match="--warmup 50: not below --steps 24"):
        settings_of(tmp_path, steps=24, warmup=50)


def test_samplers_are_checked_with_the_settings(tmp_path):
    with pytest.raises(ValidationError, match="'cosine' is no sampler"):
        settings_of(tmp_path, samplers="uniform,cosine")
