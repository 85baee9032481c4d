"""The clip shape of a run: from the options, else the native one of the checkpoint.

The native shape is in ``native_clip.json`` beside ``model_index.json``, where there is
one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tqd_probe.clips.shape import ClipShape
from tqd_probe.core.errors import InputError
from tqd_probe.core.files import read_json
from tqd_probe.models.base import VideoModel

NATIVE_FILE = "native_clip.json"


class NativeClip(BaseModel):
    """Content of ``native_clip.json``."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    num_frames: int = Field(ge=1, le=100_000)
    height: int = Field(ge=1, le=100_000)
    width: int = Field(ge=1, le=100_000)
    fps: float = Field(ge=0.01, le=10_000)


def native_shape(path: Path, default: ClipShape) -> ClipShape:
    """Read the native clip shape of a checkpoint.

    Args:
        path: Pipeline directory.
        default: The family's shape, for checkpoints without the file.

    Returns:
        The shape.

    Raises:
        InputError: If the file is there and a field is missing, unknown or not a
            positive number.
    """
    file = path / NATIVE_FILE
    if not file.exists():
        return default
    value = read_json(file, "num_frames, height, width and fps of native clips")
    try:
        found = NativeClip.model_validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "content"
        raise InputError(
            f"{file}: {field}: {first['msg']}; it needs num_frames, height, width"
            " (whole numbers) and fps"
        ) from None
    return ClipShape(found.num_frames, found.height, found.width, found.fps)


class ShapeOptions(Protocol):
    """Settings with the four options of a clip shape; None takes the native value."""

    @property
    def frames(self) -> int | None:
        """Frames per clip."""

    @property
    def height(self) -> int | None:
        """Height in pixels."""

    @property
    def width(self) -> int | None:
        """Width in pixels."""

    @property
    def fps(self) -> float | None:
        """Frames per second."""


def clip_shape(settings: ShapeOptions, model: VideoModel) -> ClipShape:
    """Resolve the clip shape: the options given, native values for the others.

    Args:
        settings: Settings of a command.
        model: The checkpoint; it takes clips of this shape from now on
            (`VideoModel.check_shape`).

    Returns:
        The clip shape; frames, height or width that do not fit the model's latents
        are refused with `InputError`.
    """
    native = model.native
    shape = ClipShape(
        frames=settings.frames or native.frames,
        height=settings.height or native.height,
        width=settings.width or native.width,
        fps=settings.fps or native.fps,
    )
    model.check_shape(shape)
    return shape
