"""From curves and bands to a decision: what each class is worth, and what to run."""

from __future__ import annotations

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


def _next_steps(
    result: ProbeResult, schedule: BandSchedule, classes: dict[str, ClassDecision]
) -> list[NextStep]:
    """Return commands ready to paste, with their work."""
    settings: dict[str, Any] = result.provenance.settings or {}
    model = f"--ckpt {shlex.quote(str(settings.get('ckpt', result.model.source)))}"
    if settings.get("pipeline"):
        model += f" --pipeline {shlex.quote(str(settings['pipeline']))}"
    if result.model.expert is not None:
        model += f" --expert {result.model.expert}"
    if not any(each.use for each in classes.values()):
        return []
    file = f"{RUN}/bands.json"
    # On `tiny` and a tiny CogVideoX bands on the measured density were best, but in a
    # long training on few clips a density alone was (`analyses/tables`): try both.
    measured = schedule.golden_density is not None
    base = " --base measured" if measured else ""
    compared = ["uniform", *[f"measured={file}"] * measured, f"bands={file}"]
    trials = len(compared) * TRIAL_SEEDS * TRIAL_STEPS * BATCH
    return [
        NextStep(
            purpose="do its levels and classes help on your clips? short paired trials",
            command=f"tqd-probe verify {model} --clips CLIPS --golden HELD_OUT"
            f" --samplers {','.join(compared)}{base} --out {RUN}-verify",
            clip_gradients=trials,
        ),
        NextStep(
            purpose="train with what helps",
            command=f"tqd-probe train {model} --clips CLIPS --schedule {file}{base}"
            f" --steps {TRAINING_STEPS} --out {RUN}-train",
            clip_gradients=TRAINING_STEPS * BATCH,
        ),
    ]


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
