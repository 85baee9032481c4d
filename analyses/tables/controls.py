"""Controls of bands: is it which class trains at which level, or the density alone?

All three are schedules that `train` follows as any other:

- *permuted*: the bands of visually and of motion-degraded clips change places;
- *same density*: every class draws from the total density of levels that the bands
  produce, with the class shares that they produce: what bands gain over it is due to
  class at level;
- *class alone*: levels are uniform, and at each level classes have the shares that the
  bands give them there; outside all bands those of the clips.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from analyses.tables.cell_schedules import CELLS, cells_schedule
from tqd_probe.core.clip_classes import GOLDEN
from tqd_probe.sampling.clip_pool import ClipPool
from tqd_probe.sampling.draw_stream import DrawStream
from tqd_probe.sampling.registry import make_sampler
from tqd_probe.schedules.band_schedule import BandSchedule

CONTROLS = ("permuted", "same density", "class alone")
VISUAL, MOTION = "visual_degraded", "motion_degraded"


def permuted(bands: BandSchedule) -> BandSchedule:
    """Return bands with those of visual and motion exchanged.

    Args:
        bands: A schedule that measured both classes.

    Returns:
        The schedule; curves move with their bands.
    """
    classes = dict(bands.classes)
    classes[VISUAL], classes[MOTION] = bands.classes[MOTION], bands.classes[VISUAL]
    return bands.model_copy(update={"classes": classes})


def trainable(bands: BandSchedule, counts: dict[str, int]) -> bool:
    """Return whether any class of a set has a band.

    Args:
        bands: The schedule.
        counts: Clips of each class in the set, golden first.

    Returns:
        True if a training by bands draws anything.
    """
    return any(
        count and (name == GOLDEN or bands.classes[name].bands)
        for name, count in counts.items()
    )


def band_shares(
    bands: BandSchedule, counts: dict[str, int], timesteps: np.ndarray | None = None
) -> np.ndarray:
    """Return the share of training of each cell and class under bands.

    Args:
        bands: The schedule.
        counts: Clips of each class in the set, golden first.
        timesteps: sigma of the timesteps of a family that trains discrete ones, whose
            levels are spread as these are; None: uniform.

    Returns:
        Shares ``[CELLS, classes]``, summing to 1.
    """
    present = [name for name, count in counts.items() for _ in range(count)]
    sampler = make_sampler("bands", schedule=bands, timesteps=timesteps)
    stream = DrawStream(sampler, ClipPool.of(present), 0)
    shares = stream.class_shares(np.arange(CELLS + 1) / CELLS)
    return np.stack([shares.get(name, np.zeros(CELLS)) for name in counts], 1)


def same_density(
    bands: BandSchedule, counts: dict[str, int], timesteps: np.ndarray | None = None
) -> BandSchedule:
    """Return the density of the bands without regard to class.

    Args:
        bands: The schedule.
        counts: Clips of each class in the set, golden first.
        timesteps: As for `band_shares`.

    Returns:
        A joint mixture of cells; the bands where none of the classes has any, which a
        training refuses.
    """
    return _control(
        bands,
        counts,
        timesteps,
        lambda mass: np.outer(mass.sum(1), mass.sum(0)),
        "same density",
    )


def class_alone(
    bands: BandSchedule, counts: dict[str, int], timesteps: np.ndarray | None = None
) -> BandSchedule:
    """Return the classes of the bands at each level, levels as the family's are.

    Args:
        bands: The schedule.
        counts: Clips of each class in the set, golden first.
        timesteps: As for `band_shares`; uniform levels without.

    Returns:
        A joint mixture of cells; the bands where none of the classes has any, which a
        training refuses.
    """
    clips = np.array(list(counts.values()), float)
    uniform = make_sampler("uniform", timesteps=timesteps).base
    level = np.diff(uniform.cdf(np.arange(CELLS + 1) / CELLS))[:, None]

    def shares(mass: np.ndarray) -> np.ndarray:
        total = mass.sum(1, keepdims=True)
        pooled = np.tile(clips / clips.sum(), (CELLS, 1))
        return np.divide(mass, total, out=pooled, where=total > 1e-12) * level

    return _control(bands, counts, timesteps, shares, "class alone")


def _control(
    bands: BandSchedule,
    counts: dict[str, int],
    timesteps: np.ndarray | None,
    change: Callable[[np.ndarray], np.ndarray],
    name: str,
) -> BandSchedule:
    """Change the shares ``[CELLS, classes]`` that bands give levels and classes."""
    if not trainable(bands, counts):
        return bands
    model = bands.model.model_dump(mode="json")
    mass = change(band_shares(bands, counts, timesteps))
    return cells_schedule(model, counts, mass, name)
