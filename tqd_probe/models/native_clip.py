"""The clip shape a checkpoint was trained on: `native_clip.json` beside its index."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tqd_probe.clips.shape import ClipShape
from tqd_probe.core.errors import InputError
from tqd_probe.core.files import read_json

if TYPE_CHECKING:
    from tqd_probe.models.base import VideoModel
    from tqd_probe.probing.settings import ProbeSettings

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
        default: The family's shape, for checkpoints that do not say.

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


def clip_shape(settings: ProbeSettings, model: VideoModel) -> ClipShape:
    """Resolve the clip shape: what was asked for, else what is native.

    Args:
        settings: The run's settings.
        model: The checkpoint.

    Returns:
        The clip shape.
    """
    native = model.native
    return ClipShape(
        settings.frames or native.frames,
        settings.height or native.height,
        settings.width or native.width,
        settings.fps or native.fps,
    )
