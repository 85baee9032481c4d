import ast
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import tqd_probe
from tqd_probe.core.errors import BadClip, InputError
from tqd_probe.core.files import NotWritten, staged
from tqd_probe.verification import trials
from tqd_probe.verification.compared_samplers import parse_compared_samplers
from tqd_probe.verification.settings import VerificationRunSettings
from tqd_probe.verification.trials import (
    StoppedBySignal,
    options_of_verify,
    rename_options,
    run_trial,
    training_settings,
    trial_key,
)

UNIFORM, BETA = parse_compared_samplers("uniform,beta")
INPUTS = {"checkpoint": "a", "encoders": "b", "clips": "c", "schedules": "d"}


def settings_of(out, **more):
    given = {"ckpt": "tiny", "clips": "a.csv", "golden": "g", "out": out}
    return VerificationRunSettings(**given, samplers="uniform,beta", **more)


@pytest.fixture
def trainings(monkeypatch):
    """The settings of trainings that trials ask for; their losses are made up."""
    asked = []

    def train(options, quiet, figures, start_losses):
        asked.append(options)
        options.out.mkdir(parents=True)
        classes = ["golden", "visual_degraded", "golden"]
        rows = [
            {
                "step": step,
                "clips": ["a", "b", "c"],
                "classes": classes,
                "losses": [[step + clip] * 10 for clip in range(3)],
            }
            for step in (0, options.steps)
        ]
        if start_losses is not None:
            rows[0]["losses"] = start_losses.tolist()
        path = options.out / "validation_losses.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        (options.out / "density.json").write_text('{"counts": {"golden": [1]}}')
        return SimpleNamespace(stopped_by=0)

    monkeypatch.setattr(trials, "train", train)
    return asked


def test_trials_differ_by_the_sampler_alone(tmp_path):
    settings = settings_of(tmp_path, steps=70, seed=3, kappa_max=8, lr=3e-4)
    a, b = (training_settings(settings, s, 5, tmp_path) for s in (UNIFORM, BETA))
    differing = {key for key in a.model_dump() if getattr(a, key) != getattr(b, key)}
    assert differing == {"sampler"}
    assert (a.seed, a.clips_seed, a.lr, a.validate_every) == (5, 3, 3e-4, 70)


def test_a_measured_base_is_that_of_bands_and_takes_no_shift(tmp_path):
    """The baseline keeps its own density and the shift; `measured` is one itself."""
    text = "uniform,measured=b.json,bands=b.json,mixture=b.json"
    settings = settings_of(tmp_path).model_copy(
        update={"samplers": text, "base": "measured", "shift": 3.0}
    )
    found = [
        training_settings(settings, each, 0, tmp_path)
        for each in parse_compared_samplers(text)
    ]
    assert [(each.sampler, each.base, each.shift) for each in found] == [
        ("uniform", "uniform", 3.0),
        ("measured", "uniform", None),
        ("bands", "measured", None),
        ("mixture", "measured", None),
    ]


def test_the_losses_of_golden_clips_are_returned_and_kept(tmp_path, trainings):
    settings = settings_of(tmp_path, steps=4)
    found = run_trial(settings, UNIFORM, 0, 1, INPUTS)
    np.testing.assert_array_equal(found.before, [[0] * 10, [2] * 10])
    np.testing.assert_array_equal(found.after, [[4] * 10, [6] * 10])
    (file,) = (tmp_path / "trials").iterdir()  # the training's own folder is gone
    assert file.name == "seed-01-00-uniform.json"
    assert json.loads(file.read_text())["seed"] == 1
    again = run_trial(settings, UNIFORM, 0, 1, INPUTS)
    np.testing.assert_array_equal(again.after, found.after)
    assert len(trainings) == 1
    other = run_trial(settings, BETA, 1, 1, INPUTS, 1 + found.start)
    np.testing.assert_array_equal(other.before, [[1] * 10, [3] * 10])


@pytest.mark.parametrize(
    "changed",
    [{"steps": 6}, {"lr": 2e-3}, {"golden_clips": 5}, {"clips": "b.csv"}, {"seed": 1}],
)
def test_a_trial_of_other_settings_is_not_reused(tmp_path, trainings, changed):
    """Even longer steps at a constant rate: the shorter trial has other losses."""
    common = {"lr_schedule": "constant", "warmup": 2, "steps": 4}
    settings = settings_of(tmp_path, **common)
    run_trial(settings, UNIFORM, 0, 0, INPUTS)
    other = VerificationRunSettings.model_validate(settings.model_dump() | changed)
    found = run_trial(other, UNIFORM, 0, 0, INPUTS)
    assert len(trainings) == 2
    assert found.after[0, 0] == other.steps


@pytest.mark.parametrize("name", list(INPUTS))
def test_a_trial_of_other_inputs_is_not_reused(tmp_path, trainings, name):
    settings = settings_of(tmp_path, steps=4)
    run_trial(settings, UNIFORM, 0, 0, INPUTS)
    run_trial(settings, UNIFORM, 0, 0, INPUTS | {name: "other"})
    assert len(trainings) == 2


def test_how_a_trial_is_computed_is_not_part_of_its_key(tmp_path):
    keys = {
        trial_key(training_settings(settings, UNIFORM, 0, out), INPUTS)
        for settings, out in (
            (settings_of(tmp_path), tmp_path),
            (settings_of(tmp_path / "moved"), tmp_path / "moved"),
            (settings_of(tmp_path, micro_batch=4, workers=2, max_bad=3), tmp_path),
        )
    }
    assert len(keys) == 1


@pytest.mark.parametrize("content", ["", "[]", '{"key": "x"}'])
def test_a_damaged_trial_is_run_again(tmp_path, trainings, content):
    settings = settings_of(tmp_path, steps=4)
    path = tmp_path / "trials" / "seed-00-00-uniform.json"
    path.parent.mkdir()
    path.write_text(content)
    assert run_trial(settings, UNIFORM, 0, 0, INPUTS).after[0, 0] == 4
    assert len(trainings) == 1


def test_a_signal_ends_the_verification_without_a_trial(tmp_path, monkeypatch):
    def stopped(*args, **options):
        return SimpleNamespace(stopped_by=15)

    monkeypatch.setattr(trials, "train", stopped)
    with pytest.raises(StoppedBySignal, match="15"):
        run_trial(settings_of(tmp_path), UNIFORM, 0, 0, INPUTS)
    assert not (tmp_path / "trials").exists()


def test_errors_of_a_training_name_the_options_of_verify(tmp_path):
    with pytest.raises(InputError, match=r"^--golden a\.csv: clip x .* of --clips$"):
        with options_of_verify(tmp_path):
            raise InputError("--validation a.csv: clip x is trained on; out of --clips")
    message = f"no frames; all are in {tmp_path}/quarantine.json"
    with pytest.raises(BadClip, match=f"^{re.escape(message)}$"):
        with options_of_verify(tmp_path):
            raise BadClip("no frames; all are in quarantine.json")
    with pytest.raises(NotWritten, match=r"cannot be written \(No space left\)"):
        with options_of_verify(tmp_path), staged(tmp_path / "a"):
            raise OSError(28, "No space left")


# Options that the messages of a training name and a verification cannot meet.
UNREACHABLE = {
    "--hold-out": "trials are judged on --golden",
    "--agreement-every": "trials never measure it",
    "--resume": "a trial starts in an empty folder",
}
OF_GRADSIM = {"--cos-min", "--criterion", "--degradations", "--pool", "--schedule"}


def messages_of_errors(path):
    """The texts of all errors that a module raises."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            texts = [
                part.value
                for part in ast.walk(node.exc)
                if isinstance(part, ast.Constant) and isinstance(part.value, str)
            ]
            yield " ".join(texts)


def test_no_error_of_a_trial_advises_an_option_that_verify_lacks():
    package = Path(tqd_probe.__file__).parent
    names = set(VerificationRunSettings.model_fields) | {"no-early-stop"}
    known = {f"--{name.replace('_', '-')}" for name in names}
    assert "--resume" not in known
    modules = sorted((package / "sampling").glob("*.py"))
    modules += [
        package / "training" / f"{name}.py"
        for name in ("scored_clips", "encoded_clips", "schedule_in_use", "model")
    ]
    found = set()
    for module in modules:
        for text in messages_of_errors(module):
            found |= set(re.findall(r"--[a-z][a-z-]+", rename_options(text)))
    assert {"--golden", "--samplers", "--max-bad"} <= found  # the search finds some
    assert found - known - OF_GRADSIM - set(UNREACHABLE) == set()
