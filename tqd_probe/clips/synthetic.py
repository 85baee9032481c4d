"""Synthetic golden clips: textured objects over textured backgrounds, known motion.

A clip is a continuous scene, a function of place and time, so it can be rendered at
any size and any rate: slow motion is the scene read at a smaller stride, never a
blend of frames. Objects keep a constant velocity and stay inside the frame.
Lengths are in units of the frame's shorter side, times in seconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from tqd_probe.clips.shape import ClipShape
from tqd_probe.core.rng import stream

COLOURS = {
    "red": (0.86, 0.16, 0.14),
    "green": (0.16, 0.68, 0.24),
    "blue": (0.18, 0.34, 0.90),
    "yellow": (0.94, 0.84, 0.18),
    "purple": (0.62, 0.22, 0.78),
    "orange": (0.95, 0.52, 0.10),
    "cyan": (0.16, 0.80, 0.86),
    "white": (0.94, 0.94, 0.94),
}
BACKGROUNDS = {
    "grey": (0.42, 0.42, 0.44),
    "brown": (0.42, 0.31, 0.22),
    "olive": (0.35, 0.38, 0.20),
    "navy": (0.15, 0.19, 0.36),
}
# The grain of every background: a field of random plane waves, isotropic, with the
# falling amplitudes of natural texture. Cycles per shorter side; wavelengths down to
# 4 pixels at 64 x 64.
# Low contrast: the detail that blur removes is faint, so it shows at low noise levels.
GRAIN_WAVES = 240
GRAIN_CYCLES = (1.5, 16.0)
GRAIN_FALL = 1.0  # amplitude falls as cycles ** -GRAIN_FALL
GRAIN_CONTRAST = (0.07, 0.20)  # deviation relative to the background's colour
SHAPES = ("circle", "square", "triangle", "diamond")
PATTERNS = ("striped", "checkered", "dotted")
DIRECTIONS = {
    "right": (1.0, 0.0),
    "left": (-1.0, 0.0),
    "down": (0.0, 1.0),
    "up": (0.0, -1.0),
    "down and right": (0.7071, 0.7071),
    "down and left": (-0.7071, 0.7071),
    "up and right": (0.7071, -0.7071),
    "up and left": (-0.7071, -0.7071),
}
SECONDS = 1.0  # the scene is composed so that objects stay in view this long
SPEED = (0.32, 0.52)  # shorter sides per second
RADIUS = (0.17, 0.23)
TWO_OBJECTS = 0.3  # share of clips with a second object


@dataclass(frozen=True)
class MovingObject:
    """One textured object on a straight path.

    Attributes:
        shape: One of ``SHAPES``.
        colour: A key of ``COLOURS``.
        pattern: One of ``PATTERNS``; it is fixed to the object and moves with it.
        direction: A key of ``DIRECTIONS``.
        radius: Half the size, in shorter sides.
        start: Place ``(x, y)`` at time 0, in shorter sides.
        velocity: ``(vx, vy)`` in shorter sides per second.
        phase: Phase of the pattern in radians.
    """

    shape: str
    colour: str
    pattern: str
    direction: str
    radius: float
    start: tuple[float, float]
    velocity: tuple[float, float]
    phase: float


@dataclass(frozen=True)
class SyntheticClip:
    """A scene that can be rendered at any size and rate.

    Attributes:
        id: Name that identifies the clip within its seed.
        caption: What the clip shows, in one sentence.
        background: A key of ``BACKGROUNDS``.
        waves: Texture of the background, rows ``(kx, ky, phase, amplitude)``.
        objects: The moving objects, far to near.
    """

    id: str
    caption: str
    background: str
    waves: np.ndarray
    objects: tuple[MovingObject, ...]

    def identity(self) -> str:
        """Return a key of the pixels, for caches and fingerprints.

        Returns:
            A string equal for two clips only when they render alike.
        """
        return f"synthetic:{self.id}:{self.waves.tobytes().hex()}:{self.objects}"

    def read(self, shape: ClipShape, slow: float = 1.0) -> np.ndarray:
        """Render the scene.

        Args:
            shape: Frames, pixels and rate of the result.
            slow: Slow-motion factor; 2 reads the scene at half the stride.

        Returns:
            RGB video, uint8 ``[frames, height, width, 3]``.
        """
        unit = shape.short_side
        across = (np.arange(shape.width) + 0.5) / unit
        down = (np.arange(shape.height) + 0.5) / unit
        y, x = np.meshgrid(down, across, indexing="ij")
        # cos(a + b) = Re(e^ia e^ib): the whole field is one product of two factors.
        kx, ky, phase, amplitude = self.waves.T
        rows = np.exp(1j * (2 * np.pi * np.outer(down, ky) + phase)) * amplitude
        texture = (rows @ np.exp(2j * np.pi * np.outer(kx, across))).real
        base = np.array(BACKGROUNDS[self.background])
        still = base * (1 + texture[..., None])
        frames = []
        for time in shape.times(slow):
            frame = still
            for item in self.objects:
                cover, colour = _draw(item, x, y, float(time), unit)
                frame = frame + cover[..., None] * (colour - frame)
            frames.append(frame)
        video = np.clip(np.stack(frames), 0, 1)
        return np.round(video * 255).astype(np.uint8)


def _draw(
    item: MovingObject, x: np.ndarray, y: np.ndarray, time: float, unit: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return coverage ``[H, W]`` in [0, 1] and colour ``[H, W, 3]`` of an object."""
    dx = x - item.start[0] - item.velocity[0] * time
    dy = y - item.start[1] - item.velocity[1] * time
    r = item.radius
    if item.shape == "circle":
        distance = np.hypot(dx, dy) - r
    elif item.shape == "square":
        distance = np.maximum(abs(dx), abs(dy)) - 0.88 * r
    elif item.shape == "diamond":
        distance = (abs(dx) + abs(dy) - 1.25 * r) / np.sqrt(2)
    else:  # an upright triangle: three half-planes
        side = 0.866 * abs(dx) - 0.5 * (dy - 0.2 * r)
        distance = np.maximum(side - 0.6 * r, dy - 0.8 * r)
    cover = np.clip(0.5 - distance * unit, 0, 1)  # one pixel of anti-aliasing
    wave = 2 * np.pi / 0.13
    if item.pattern == "striped":
        pattern = np.sin(wave * (dx + dy) / np.sqrt(2) + item.phase)
    elif item.pattern == "checkered":
        pattern = 1.6 * np.sin(wave * dx + item.phase) * np.sin(wave * dy)
    else:
        bump = np.cos(wave * dx + item.phase) + np.cos(wave * dy)
        pattern = np.clip(1.5 * bump, -1, 1)
    shade = 0.90 + 0.12 * np.clip(pattern, -1, 1)
    return cover, np.array(COLOURS[item.colour]) * shade[..., None]


def _object(rng: np.random.Generator, colour: str) -> MovingObject:
    """Compose one object whose path stays inside the unit square for ``SECONDS``."""
    direction = str(rng.choice(list(DIRECTIONS)))
    radius = float(rng.uniform(*RADIUS))
    speed = float(rng.uniform(*SPEED))
    velocity = tuple(float(speed * part) for part in DIRECTIONS[direction])
    start = []
    for part in velocity:
        low, high = radius, 1 - radius
        low, high = low - min(part * SECONDS, 0), high - max(part * SECONDS, 0)
        start.append(float(rng.uniform(low, high)))
    return MovingObject(
        shape=str(rng.choice(SHAPES)),
        colour=colour,
        pattern=str(rng.choice(PATTERNS)),
        direction=direction,
        radius=radius,
        start=(start[0], start[1]),
        velocity=(velocity[0], velocity[1]),
        phase=float(rng.uniform(0, 2 * np.pi)),
    )


def _grain(rng: np.random.Generator) -> np.ndarray:
    """Draw a texture: waves ``[GRAIN_WAVES, 4]`` spread evenly over the plane.

    With so many waves of random direction and phase, points a wavelength apart are
    uncorrelated, as in natural texture.

    Args:
        rng: Generator of the clip.

    Returns:
        Rows ``(kx, ky, phase, amplitude)``.
    """
    turns = rng.uniform(0, 2 * np.pi, GRAIN_WAVES)
    low, high = GRAIN_CYCLES
    cycles = np.sqrt(rng.uniform(low**2, high**2, GRAIN_WAVES))
    phases = rng.uniform(0, 2 * np.pi, GRAIN_WAVES)
    amplitudes = cycles**-GRAIN_FALL
    amplitudes *= np.sqrt(2 / (amplitudes**2).sum()) * rng.uniform(*GRAIN_CONTRAST)
    columns = [cycles * np.cos(turns), cycles * np.sin(turns), phases, amplitudes]
    return np.stack(columns, axis=1)


def synthetic_clip(index: int, seed: int = 0) -> SyntheticClip:
    """Compose the clip of a given number.

    Args:
        index: Number of the clip, from 0; there is no last one.
        seed: Seed of the collection; collections of different seeds are disjoint.

    Returns:
        The clip, the same for the same arguments, always.
    """
    rng = stream(seed, "synthetic-clip", index)
    count = 2 if rng.random() < TWO_OBJECTS else 1
    colours = [str(name) for name in rng.permutation(list(COLOURS))[:count]]
    objects = tuple(_object(rng, colour) for colour in colours)
    background = str(rng.choice(list(BACKGROUNDS)))
    waves = _grain(rng)
    names = [
        f"a {o.colour} {o.pattern} {o.shape} moving {o.direction}" for o in objects
    ]
    names.append(f"a {background} textured background")
    names = [re.sub(r"^a (?=[aeiou])", "an ", name) for name in names]
    caption = f"{' and '.join(names[:-1])} over {names[-1]}"
    return SyntheticClip(
        id=f"synthetic-{seed}-{index:05d}",
        caption=caption,
        background=background,
        waves=waves,
        objects=objects,
    )
