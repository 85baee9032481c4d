"""From curves and bands to a decision: what each class is worth, and what to run."""

from __future__ import annotations

import re
import shlex
from typing import Any

import numpy as np

from tqd_probe.probing.result import ProbeResult, as_array
from tqd_probe.schedules.band_schedule import BandSchedule
from tqd_probe.schedules.bands import Band
from tqd_probe.schedules.curves_schema import Curves
from tqd_probe.schedules.decision_schema import (
    ClassDecision,
    Decision,
    ExpectedShare,
    NextStep,
)
from tqd_probe.schedules.expected_gain import BASIS, CONFIDENCE, expected_share

RUN = "RUN"  # in commands: the run's directory, named where they are printed
# A checkpoint's path may hold the word, too.
PLACES = re.compile(r"(?<=[ =])RUN(?=/bands\.json|-verify|-train)")
NARROW = 0.2  # of the noise axis: all draws of a class on less than this crowd
TRIAL_STEPS, TRIAL_SEEDS, BATCH = 200, 5, 8  # the defaults of verify
TRAINING_STEPS = 2000


def decide(result: ProbeResult, schedule: BandSchedule) -> Decision:
    """Say what a probe means for training.

    Args:
        result: The curves.
        schedule: The schedule derived from them.

    Returns:
        The decision.
    """
    calibrated = schedule.criterion.metric == "adam"
    classes = {
        name: ClassDecision(
            status=entry.status,
            use=entry.bands,
            test=entry.test or [],
            avoid=entry.avoid or [],
            expected=_expected(result, name, entry) if calibrated else None,
            reason=entry.reason,
        )
        for name, entry in schedule.classes.items()
    }
    return Decision(
        classes=classes,
        calibration=f"{BASIS}; {CONFIDENCE:.0%} for one class and level"
        if calibrated
        else None,
        next=_next_steps(result, schedule, classes),
        warnings=_warnings(classes),
    )


def _expected(result: ProbeResult, name: str, entry: Curves) -> ExpectedShare | None:
    """Average what the degradations of a class promise at the levels in use."""
    used = [i for i, level in enumerate(result.levels) if _inside(entry.bands, level)]
    if not used:
        return None
    compared = result.subjects[name]
    members = [result.subjects[each] for each in compared.members] or [compared]
    curves = np.stack([as_array(each.cosine)[used] for each in members])
    share, low, high = expected_share(curves).mean((1, 2))
    return ExpectedShare(
        share=round(float(share), 3),
        low=round(float(low), 3),
        high=round(float(high), 3),
    )


def _inside(bands: list[Band], level: float) -> bool:
    return any(low <= level <= high for low, high in bands)


def command_in(run: str, step: NextStep) -> str:
    """Return a step's command, with the run's directory in place of `RUN`.

    Args:
        run: The directory.
        step: The step.

    Returns:
        The command, quoted for a shell.
    """
    return PLACES.sub(lambda _: shlex.quote(run), step.command)


def _next_steps(
    result: ProbeResult, schedule: BandSchedule, classes: dict[str, ClassDecision]
) -> list[NextStep]:
    """Return commands ready to paste, with their work."""
    model = _model_options(result)
    used = any(each.use for each in classes.values())
    file = f"{RUN}/bands.json"
    # On `tiny` and a tiny CogVideoX bands on the measured density were best, but in a
    # long training on few clips a density alone was (`analyses/tables`): try both.
    measured = schedule.golden_density is not None
    if not (used or measured):
        return []
    base = " --base measured" if measured and used else ""
    sampler = "" if used else " --sampler measured"
    compared = ["uniform", *[f"measured={file}"] * measured, *[f"bands={file}"] * used]
    trials = len(compared) * TRIAL_SEEDS * TRIAL_STEPS * BATCH
    purpose = "do its levels and classes help on your clips?"
    if not used:
        purpose = "no class may be used; does its density of levels help alone?"
    return [
        NextStep(
            purpose=f"{purpose} short paired trials",
            command=f"tqd-probe verify {model} --clips CLIPS --golden HELD_OUT"
            f" --samplers {','.join(compared)}{base} --out {RUN}-verify",
            clip_gradients=trials,
        ),
        NextStep(
            purpose="train with what helps",
            command=f"tqd-probe train {model} --clips CLIPS --schedule {file}{sampler}"
            f"{base} --steps {TRAINING_STEPS} --out {RUN}-train",
            clip_gradients=TRAINING_STEPS * BATCH,
        ),
    ]


def _model_options(result: ProbeResult) -> str:
    """Return the options that load the model that was probed, to train it."""
    settings: dict[str, Any] = result.provenance.settings or {}
    given = [("--ckpt", settings.get("ckpt", result.model.source))]
    given.append(("--pipeline", settings.get("pipeline")))
    given.append(("--expert", result.model.expert))
    given.append(("--init-lora", settings.get("lora")))
    given.append(("--lora-alpha", settings.get("lora_alpha")))
    given.append(("--quantise", settings.get("quantise")))
    given.append(("--dtype", settings.get("dtype")))
    words = [
        f"{option} {shlex.quote(str(value))}"
        for option, value in given
        if value not in (None, "none", "auto")
    ]
    return " ".join([*words, *["--offload"] * bool(settings.get("offload"))])


def _warnings(classes: dict[str, ClassDecision]) -> list[str]:
    """Return what to be aware of."""
    found = []
    for name, each in classes.items():
        width = sum(high - low for low, high in each.use)
        if 0 < width < NARROW:
            found.append(
                f"{name}: a clip is drawn first by default, so all draws of this class"
                f" fall on {width:.0%} of the noise axis; --order level draws the level"
                " first and keeps the density of levels"
            )
    return found
