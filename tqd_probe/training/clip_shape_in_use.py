"""The clip shape of a training: given, taken over from the schedule, or native."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from tqd_probe.clips.shape import ClipShape
from tqd_probe.core.errors import InputError
from tqd_probe.core.shared_settings import ClipShapeSettings
from tqd_probe.models.base import VideoModel
from tqd_probe.models.native_clip import clip_shape
from tqd_probe.schedules.band_schedule import BandSchedule

S = TypeVar("S", bound=ClipShapeSettings)
FIELDS = tuple(ClipShapeSettings.model_fields)


def take_clip_shape(
    settings: S, schedules: Sequence[BandSchedule | None], model: VideoModel
) -> tuple[S, str]:
    """Take over the clip shape that schedules were measured on, where none is given.

    Bands hold for clips of the shape they were measured on; that shape need not be
    typed again. A schedule of another family has none to give.

    Args:
        settings: Settings of a training or a verification.
        schedules: The schedules it follows; None for none.
        model: The model to be trained.

    Returns:
        The settings with the shape, and a sentence on where it comes from.

    Raises:
        InputError: If schedules were measured on clips of different shapes and the
            shape is not given, or the model cannot take the shape.
    """
    measured = {
        ClipShape(**each.clip.model_dump())
        for each in schedules
        if each is not None and each.clip and each.model.family == model.family
    }
    given = [name for name in FIELDS if getattr(settings, name) is not None]
    if len(measured) > 1 and len(given) < len(FIELDS):
        shapes = " and ".join(sorted(map(str, measured)))
        raise InputError(
            f"the schedules were measured on clips of {shapes}; give the shape to train"
            " on: --frames, --height, --width and --fps"
        )
    of_schedule = min(measured, key=str, default=None)
    if of_schedule is not None:
        taken = {n: getattr(of_schedule, n) for n in FIELDS if n not in given}
        settings = settings.model_copy(update=taken)
    try:
        shape = clip_shape(settings, model)
    except InputError as error:
        if of_schedule is None or len(given) == len(FIELDS):
            raise
        raise InputError(
            f"{error}; the schedule was measured on clips of {of_schedule}, and what is"
            " not given is taken from it"
        ) from None
    if shape in measured:
        source = "as the schedule was measured"
    elif given:
        source = f"as given ({', '.join(f'--{name}' for name in given)})"
        if of_schedule is not None:
            source += f"; the schedule was measured on clips of {of_schedule}"
    else:
        source = "the checkpoint's"
    return settings, f"clip shape: {shape}, {source}"
