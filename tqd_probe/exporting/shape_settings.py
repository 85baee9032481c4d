"""The shape of training clips, for trainers whose shift depends on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, Field, model_validator

if TYPE_CHECKING:
    from tqd_probe.exporting.trainer_format import VideoShape


class VideoShapeSettings(BaseModel):
    """Frames, height and width, all of them or none."""

    heading: ClassVar[str] = "arguments"

    frames: int | None = Field(
        default=None,
        ge=1,
        description="frames per clip, where a shift depends on it (default: unknown)",
    )
    height: int | None = Field(
        default=None,
        ge=8,
        description="height in pixels, where a shift depends on it (default: unknown)",
    )
    width: int | None = Field(
        default=None,
        ge=8,
        description="width in pixels, where a shift depends on it (default: unknown)",
    )

    @model_validator(mode="after")
    def _whole_shape(self) -> VideoShapeSettings:
        given = [self.frames, self.height, self.width]
        if None in given and any(given):
            raise ValueError("--frames, --height and --width go together; give all")
        return self

    def video_shape(self) -> VideoShape | None:
        """Return the shape; None where it is not known.

        Returns:
            The shape.
        """
        from tqd_probe.exporting.trainer_format import VideoShape  # loads scipy

        if self.frames and self.height and self.width:
            return VideoShape(self.frames, self.height, self.width)
        return None
