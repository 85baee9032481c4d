"""All degradations by name: what each does at severities 1 to 5, alone or combined."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tqd_probe.clips import motion_degradations as motion
from tqd_probe.clips import visual_degradations as visual
from tqd_probe.clips.clip import Clip
from tqd_probe.clips.degraded_clip import DegradedClip
from tqd_probe.clips.shape import ClipShape
from tqd_probe.core.clip_classes import (
    BOTH_DEGRADED,
    MOTION_DEGRADED,
    VISUAL_DEGRADED,
)
from tqd_probe.core.errors import InputError
from tqd_probe.core.rng import stream

COMBINING = """\
blur:3+slow:4 does one after the other: of both kinds, it is of the class both_degraded.
freeze:5, a still picture, is the extreme of low motion: it is compared by itself, and
decides for motion_degraded only where no other motion degradation is given."""
VISUAL, MOTION, CONTROL = VISUAL_DEGRADED, MOTION_DEGRADED, "control"


@dataclass(frozen=True)
class Effect:
    """One degradation at all severities.

    Attributes:
        kind: The class the degraded clip belongs to, or ``"control"``.
        amounts: The amount at severity 1 to 5; a control is the same at each.
        unit: What the amount measures, in words.
        apply: From clip, shape, amount and random generator to uint8
            ``[frames, height, width, 3]``.
        extreme: Severity at which nothing is left of what is degraded: it decides for
            its class only where no other degradation does (`Degradation.extreme`).
    """

    kind: str
    amounts: tuple[float, ...]
    unit: str
    apply: Callable[[Clip, ClipShape, float, np.random.Generator], np.ndarray]
    extreme: int | None = None


EFFECTS = {
    "blur": Effect(
        VISUAL,
        (0.006, 0.012, 0.02, 0.03, 0.045),
        "standard deviation of a Gaussian blur, in shorter sides",
        lambda clip, shape, amount, rng: visual.blur(clip.read(shape), amount),
    ),
    "noise": Effect(
        VISUAL,
        (5, 10, 20, 30, 45),
        "standard deviation of noise, in levels of 255",
        lambda clip, shape, amount, rng: visual.noise(clip.read(shape), amount, rng),
    ),
    "compress": Effect(
        VISUAL,
        (28, 33, 38, 43, 48),
        "constant rate factor of x264",
        lambda clip, shape, amount, rng: visual.compress(
            clip.read(shape), amount, shape.fps
        ),
    ),
    "downscale": Effect(
        VISUAL,
        (1.25, 1.5, 2, 3, 4),
        "pixels that become one along each side, then bicubic enlargement",
        lambda clip, shape, amount, rng: visual.downscale(clip.read(shape), amount),
    ),
    "freeze": Effect(
        MOTION,
        (0.2, 0.4, 0.6, 0.8, 1.0),
        "share of the frames that repeat one frame",
        lambda clip, shape, amount, rng: motion.freeze(clip.read(shape), amount, rng),
        extreme=5,
    ),
    "slow": Effect(
        MOTION,
        (1.25, 1.5, 2, 3, 4),
        "times slower: the source is asked for closer instants; never blended",
        lambda clip, shape, amount, rng: motion.slow(clip, shape, amount),
    ),
    "hold": Effect(
        MOTION,
        (2, 3, 4, 6, 8),
        "frames each shown frame is held for",
        lambda clip, shape, amount, rng: motion.hold(clip.read(shape), int(amount)),
    ),
    "shuffle": Effect(
        MOTION,
        (2, 4, 6, 8, math.inf),
        "frames of the windows inside which order is lost (inf: the whole clip)",
        lambda clip, shape, amount, rng: motion.shuffle(clip.read(shape), amount, rng),
    ),
    "jitter": Effect(
        MOTION,
        (0.008, 0.016, 0.03, 0.045, 0.06),
        "largest shift of a frame, in shorter sides",
        lambda clip, shape, amount, rng: motion.jitter(clip, shape, amount, rng),
    ),
    "identity": Effect(
        CONTROL,
        (0,) * 5,
        "the clip unchanged",
        lambda clip, shape, amount, rng: clip.read(shape),
    ),
    "reverse": Effect(
        CONTROL,
        (0,) * 5,
        "the clip backwards",
        lambda clip, shape, amount, rng: clip.read(shape)[::-1].copy(),
    ),
}


@dataclass(frozen=True)
class Degradation:
    """A degradation at a severity, written ``name:severity``.

    Attributes:
        name: A key of ``EFFECTS``.
        severity: 1 (mild) to 5 (severe); without effect for controls.
        after: What is done to the clip before, written ``blur:3+slow:4``; None for
            nothing.
    """

    name: str
    severity: int
    after: Degradation | None = None

    def __post_init__(self) -> None:
        """Refuse names, severities and combinations that do not exist.

        Raises:
            InputError: If there is no such name, severity or combination.
        """
        if self.name not in EFFECTS:
            raise InputError(
                f"degradation {self.name!r}: not known; use one of {', '.join(EFFECTS)}"
            )
        last = len(EFFECTS[self.name].amounts)
        if self.severity not in range(1, last + 1):
            raise InputError(
                f"degradation {self}: severity {self.severity} is not one of its"
                f" severities, 1..{last}; write for example {self.name}:3"
            )
        names = [part.name for part in self.parts]
        if len(set(names)) < len(names):
            raise InputError(f"degradation {self}: combines {self.name} with itself")
        if len(names) > 1 and any(EFFECTS[name].kind == CONTROL for name in names):
            raise InputError(f"degradation {self}: a control is not combined")

    def __str__(self) -> str:
        """Return the name as options write it: ``blur:3``, ``blur:3+slow:4``."""
        before = f"{self.after}+" if self.after else ""
        return f"{before}{self.name}:{self.severity}"

    @property
    def parts(self) -> tuple[Degradation, ...]:
        """The degradations that are combined, in the order they are applied."""
        before = self.after.parts if self.after else ()
        return (*before, Degradation(self.name, self.severity) if before else self)

    @property
    def kind(self) -> str:
        """The class of degraded clips, or ``control``; of both kinds, both_degraded."""
        kinds = {EFFECTS[part.name].kind for part in self.parts}
        return kinds.pop() if len(kinds) == 1 else BOTH_DEGRADED

    @property
    def extreme(self) -> bool:
        """Whether nothing is left of what a part of it degrades (a still picture)."""
        return any(EFFECTS[p.name].extreme == p.severity for p in self.parts)

    @property
    def amount(self) -> float:
        """The amount of the last part, in the unit of its effect."""
        return EFFECTS[self.name].amounts[self.severity - 1]

    def apply(self, clip: Clip, shape: ClipShape, seed: int) -> np.ndarray:
        """Return the degraded clip.

        All severities of one degradation use the same random numbers, so that they
        differ in strength alone; a part of a combination those of its own.

        Args:
            clip: The golden clip.
            shape: Frames, pixels and rate of the result.
            seed: The run seed; with the clip's id it decides every random number.

        Returns:
            RGB video, uint8 ``[frames, height, width, 3]``.
        """
        rng = stream(seed, "degradation", clip.id, self.name)
        source = DegradedClip(clip, self.after, seed) if self.after else clip
        return EFFECTS[self.name].apply(source, shape, self.amount, rng)


def parse_degradations(text: str) -> tuple[Degradation, ...]:
    """Read a list such as ``blur:3,blur:3+slow:4``.

    Args:
        text: Names with severities, combined by plus signs, separated by commas.

    Returns:
        The degradations in the order given.

    Raises:
        InputError: If a name or severity is unknown or missing, or one is repeated.
    """
    found: list[Degradation] = []
    for item in text.split(","):
        degradation: Degradation | None = None
        for part in item.split("+"):
            degradation = _parse_part(part, degradation)
        assert degradation is not None
        if degradation in found:
            raise InputError(f"degradation {degradation}: listed twice; keep one")
        found.append(degradation)
    return tuple(found)


def _parse_part(part: str, after: Degradation | None) -> Degradation:
    """Read one ``name:severity``."""
    name, colon, severity = (piece.strip() for piece in part.partition(":"))
    if name not in EFFECTS:
        Degradation(name, 1)  # raises with the list of names
    if not colon:
        raise InputError(
            f"degradation {name!r}: severity is missing; write {name}:1 to"
            f" {name}:{len(EFFECTS[name].amounts)}"
        )
    if not (severity.isascii() and severity.isdigit()):
        raise InputError(
            f"degradation {part.strip()!r}: severity {severity!r} is not a whole"
            f" number 1..{len(EFFECTS[name].amounts)}; write for example {name}:1"
        )
    return Degradation(name, int(severity), after)


def check_frames(degradations: tuple[Degradation, ...], shape: ClipShape) -> None:
    """Refuse motion degradations of clips with one frame.

    Args:
        degradations: The degradations of a run.
        shape: Clip shape of the run.

    Raises:
        InputError: If there is a motion degradation and a clip is one frame.
    """
    if shape.frames < 2 and any(
        EFFECTS[part.name].kind == MOTION for d in degradations for part in d.parts
    ):
        raise InputError(
            f"--frames {shape.frames}: one frame has no motion to degrade; ask for more"
            " frames or leave the motion degradations out of --degradations"
        )


def describe_degradations() -> str:
    """List all degradations for help texts.

    Returns:
        One line each: name, kind, amounts at severities 1, 2, ..., what they are; and
        how they are combined.
    """
    lines = []
    for name, effect in EFFECTS.items():
        amounts = ", ".join(f"{amount:g}" for amount in effect.amounts)
        amounts = amounts if effect.kind != CONTROL else "-"
        lines.append(f"{name:<10}{effect.kind:<17}{amounts:<34}{effect.unit}")
    lines += ["", *COMBINING.splitlines()]
    return "\n".join(lines)
