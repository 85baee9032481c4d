"""The timestep samplers that `compare_samplers.py` compares, set by set."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analyses.tables.densities import DENSITIES, WITH_BANDS
from analyses.tiny.train import TRAIN_SHIFT

BARS = {"bands .90": 0.9, "bands .95": 0.95, "bands .98": 0.98}  # .90 is the default

LOW_SHIFT = 0.5  # gives a third of the draws to the lowest fifth of sigma
CONTROLLED = "bands .95"  # the bands that controls are of, unless others are named


@dataclass(frozen=True)
class ComparedSampler:
    """One way to sample noise levels in training.

    Attributes:
        name: In tables.
        kind: ``baseline``, ``hand-set``, ``measured``, or ``control`` of bands.
        options: Settings of the training.
    """

    name: str
    kind: str
    options: dict[str, Any] = field(default_factory=dict)


def samplers_of(
    letter: str, schedules: dict[str, Path], controlled: str = CONTROLLED
) -> list[ComparedSampler]:
    """List what is compared on a set.

    On golden clips alone, whose two scores are equal, bands, gates that leave the
    density of levels alone and the per-level mixture are uniform, the SANA-Video rule
    is logit-normal, and Beta is uniform at every kappa_max but for its keep
    probability: all but one Beta are left out.

    Args:
        letter: The set.
        schedules: Files by name.
        controlled: The bands that controls are made of.

    Returns:
        The samplers, uniform first.
    """

    def mixture(name: str) -> dict[str, Any]:
        return {"sampler": "mixture", "schedule": schedules[f"{name} {letter}"]}

    samplers = [ComparedSampler("uniform", "baseline", {"sampler": "uniform"})]
    samplers.append(
        ComparedSampler("logit-normal", "hand-set", {"sampler": "logit_normal"})
    )
    for kappa in (4, 8, 16) if letter != "C" else (8,):
        options = {"sampler": "beta", "kappa_max": float(kappa)}
        samplers.append(
            ComparedSampler(f"Beta, kappa_max {kappa}", "hand-set", options)
        )
    if letter != "C":
        fitted = {"sampler": "beta", "schedule": schedules["bands .90"]}
        samplers += [
            ComparedSampler("SANA-Video rule", "hand-set", mixture("SANA")),
            ComparedSampler("Beta, kappa_max fitted", "measured", fitted),
            *band_samplers(schedules),
            *control_samplers(letter, schedules, controlled),
            ComparedSampler("bands .95, floor", "measured", mixture("floor")),
            ComparedSampler("gate by worth", "measured", mixture("worth")),
            ComparedSampler("mixture, per level", "measured", mixture("per-level")),
            ComparedSampler(
                "mixture, joint, floor", "measured", mixture("joint, floor")
            ),
        ]
    return [
        *samplers,
        *density_samplers(letter, schedules),
        ComparedSampler("gate by worth, signal", "measured", mixture("worth, signal")),
        ComparedSampler("mixture, joint", "measured", mixture("joint")),
    ]


def band_samplers(schedules: dict[str, Path]) -> list[ComparedSampler]:
    """List bands at the default bar, and at two that `similarity_worth` asks for.

    Args:
        schedules: Files by name.

    Returns:
        The samplers.
    """
    return [
        ComparedSampler(
            name, "measured", {"sampler": "bands", "schedule": schedules[name]}
        )
        for name in BARS
    ]


def control_samplers(
    letter: str, schedules: dict[str, Path], bands: str = CONTROLLED
) -> list[ComparedSampler]:
    """List the controls of bands (`controls.py`).

    Args:
        letter: The set.
        schedules: Files by name.
        bands: The bands they are controls of.

    Returns:
        The samplers: bands permuted, their density without class, class alone.
    """
    swapped = {"sampler": "bands", "schedule": schedules[f"permuted, {bands}"]}
    found = [ComparedSampler("permuted", "control", swapped)]
    for name in ("same density", "class alone"):
        path = schedules[f"{name}, {bands} {letter}"]
        options = {"sampler": "mixture", "schedule": path}
        found.append(ComparedSampler(name, "control", options))
    return found


def density_samplers(letter: str, schedules: dict[str, Path]) -> list[ComparedSampler]:
    """List densities of levels without regard to class (`densities.py`).

    Args:
        letter: The set.
        schedules: Files by name.

    Returns:
        The samplers: the family's own density (Wan's shift of 5), one that trains low
        levels more, measured ones, and bands on these but for the family's own.
    """
    own = {"sampler": "uniform", "shift": TRAIN_SHIFT}
    low = {"sampler": "uniform", "shift": LOW_SHIFT}
    found = [ComparedSampler("family's own", "hand-set", own)]
    found.append(ComparedSampler(f"shift {LOW_SHIFT:g}", "hand-set", low))
    if letter != "C":
        both = {"sampler": "bands", "schedule": schedules["bands .90"]}
        name = f"shift {LOW_SHIFT:g}, bands"
        found.append(ComparedSampler(name, "measured", both | {"shift": LOW_SHIFT}))
    for name in (*DENSITIES, *(WITH_BANDS if letter != "C" else ())):
        options = {"sampler": "mixture", "schedule": schedules[f"{name} {letter}"]}
        found.append(ComparedSampler(name, "measured", options))
    return found


def carried_samplers(
    letter: str, schedules: dict[str, Path], place: str
) -> list[ComparedSampler]:
    """List what is done with schedules measured on another checkpoint.

    Args:
        letter: The set; not C, on which bands and gates are uniform.
        schedules: Files by name.
        place: Where they were measured.

    Returns:
        The samplers.
    """
    wanted = ("bands .95", "bands .95, floor", "gate by worth", "mixture, joint")
    return [
        ComparedSampler(f"{sampler.name}, of {place}", sampler.kind, sampler.options)
        for sampler in samplers_of(letter, schedules)
        if sampler.name in wanted
    ]


def select(
    samplers: list[ComparedSampler], letter: str, only: str, skip: str
) -> list[ComparedSampler]:
    """Pick samplers by the ends of their names.

    Args:
        samplers: Those of a set; the first, uniform, always stays.
        letter: The set.
        only: Ends of names, separated by ``;``, to keep; all if empty. ``B:uniform``
            speaks of Set-B alone.
        skip: The same, to leave out.

    Returns:
        The samplers kept.
    """

    def named(sampler: ComparedSampler, ends: str) -> bool:
        return any(
            sampler.name.endswith(end) and of in ("", letter)
            for of, _, end in (
                part.strip().rpartition(":") for part in ends.split(";") if part.strip()
            )
        )

    return [
        sampler
        for place, sampler in enumerate(samplers)
        if not place
        or ((not only or named(sampler, only)) and not named(sampler, skip))
    ]
