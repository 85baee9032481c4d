"""One habit in all commands: the same option means, defaults and refuses the same."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from tqd_probe.core import shared_settings
from tqd_probe.core.shared_settings import Settings
from tqd_probe.probing.run_directory import run_directory
from tqd_probe.probing.settings import ProbeRunSettings, ProbeSettings
from tqd_probe.scoring.settings import ScoreSettings
from tqd_probe.training.settings import TrainRunSettings, TrainSettings
from tqd_probe.verification.settings import (
    VerificationRunSettings,
    VerificationSettings,
)

NEEDED = {
    ProbeRunSettings: {"ckpt": "tiny"},
    TrainRunSettings: {"ckpt": "tiny", "clips": "c", "steps": 100, "out": "o"},
    VerificationRunSettings: {"ckpt": "tiny", "clips": "c", "golden": "g", "out": "o"},
    ScoreSettings: {"clips": "c", "out": "o.csv"},
}
WITH_A_MODEL = [ProbeRunSettings, TrainRunSettings, VerificationRunSettings]


@pytest.mark.parametrize("kind", NEEDED)
def test_the_device_is_chosen_by_default(kind):
    assert kind(**NEEDED[kind]).device == "auto"
    refused = {"scorer": "videoalign", "weights": "w"} if kind is ScoreSettings else {}
    for name in ("auto", "cpu", "cuda", "cuda:3"):
        assert kind(**NEEDED[kind], **refused, device=name).device == name
    for name in ("gpu", "cuda:", "cuda:x", "cpu:0", "CPU", ""):
        with pytest.raises(ValidationError, match="not available"):
            kind(**NEEDED[kind], device=name)


@pytest.mark.parametrize("kind", WITH_A_MODEL)
def test_memory_options_are_the_same(kind):
    made = kind(**NEEDED[kind])
    assert (made.checkpointing, made.cache, made.dtype) == ("auto", None, "auto")
    assert (made.max_bad, made.seed) == (0, 0)
    with pytest.raises(ValidationError):
        kind(**NEEDED[kind], gradient_checkpointing=True)


@pytest.mark.parametrize("kind", WITH_A_MODEL)
@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("frames", 0, 100_001),
        ("height", 7, 100_001),
        ("width", 7, 100_001),
        ("fps", 0.001, 10_001),
    ],
)
def test_clip_shapes_have_the_same_bounds(kind, name, low, high):
    for wrong in (low, high):
        with pytest.raises(ValidationError, match=name):
            kind(**NEEDED[kind], **{name: wrong})
    assert getattr(kind(**NEEDED[kind], **{name: 16}), name) == 16


@pytest.mark.parametrize("kind", NEEDED)
def test_unknown_fields_and_nan_are_refused(kind):
    with pytest.raises(ValidationError, match="Extra inputs"):
        kind(**NEEDED[kind], learning_rate=1)
    with pytest.raises(ValidationError, match="finite"):
        kind(**NEEDED[kind], fps=float("nan"))


@pytest.mark.parametrize(("steps", "expected"), [(1, 0), (24, 12), (50, 25), (51, 50)])
def test_the_default_warm_up_ends_before_training_does(steps, expected):
    values = {"ckpt": "tiny", "clips": "c", "out": "o", "steps": steps}
    assert TrainRunSettings(**values).warmup == expected
    assert VerificationRunSettings(**values, golden="g").warmup == expected
    with pytest.raises(
        ValidationError, match=f"--warmup 99: not below --steps {steps}"
    ):
        TrainRunSettings(**values, warmup=99)
    assert TrainRunSettings(**values, warmup=0).warmup == 0


def test_what_a_run_is_kept_by_does_not_depend_on_where_it_runs():
    kept = {"device", "checkpointing", "cache", "out", "max_bad"}
    assert kept - set(ProbeSettings.model_fields) == kept - {"max_bad"}
    assert kept.isdisjoint(TrainSettings.model_fields)
    assert kept.isdisjoint(VerificationSettings.model_fields)


def test_the_default_run_directory_keeps_its_name():
    """A run made before must be found again by the same command."""
    settings = ProbeRunSettings(ckpt="tiny")
    assert run_directory(settings) == Path("runs/tiny-c524bfce")
    other = settings.model_copy(update={"pipeline": "x"})
    assert run_directory(other) != run_directory(settings)


def test_no_shared_option_is_declared_twice():
    """Settings of commands inherit shared fields; a few narrow them, on purpose."""
    shared = {
        name: each
        for each in vars(shared_settings).values()
        if isinstance(each, type) and issubclass(each, Settings)
        for name in each.model_fields
    }
    narrowed = set()
    for kind in NEEDED:
        for base in kind.__mro__:
            if base.__module__ == shared_settings.__name__:
                continue
            again = set(vars(base).get("__annotations__", {})) & set(shared)
            narrowed |= {(base.__name__, name) for name in again}
    assert narrowed == {
        ("TrainedCheckpointSettings", "expert"),
        ("VerificationSettings", "steps"),
        (
            "ProbeHardwareSettings",
            "batch_size",
        ),  # versions of a clip, not clips of a step
        ("VideoAlignSettings", "batch_size"),
        ("ClipsToScoreSettings", "max_bad"),  # None: any number
        ("ProxySettings", "fps"),  # of what is judged, whatever the clip has
        ("ProxySettings", "frames"),
        ("ProbeRunDirectorySettings", "out"),  # may be left out
        ("OutputSettings", "out"),  # a table
    }
