"""Which clips do not fit a shape, all at once, and the largest shape that fits all."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path

from tqd_probe.clips.clip import Clip
from tqd_probe.clips.decode import Size
from tqd_probe.clips.decoding_process import read_size
from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.video import VideoClip
from tqd_probe.core.errors import BadClip, InputError

MARGIN = 1e-3  # seconds; lengths are what files state


def describe_misfits(
    clips: Iterable[Clip], shape: ClipShape, check: Callable[[ClipShape], None]
) -> str:
    """Count the clips that are too short or too small, and say what would fit.

    Only the first frame of each file is decoded; lengths are what the files state.

    Args:
        clips: The clips; those that cannot be opened are left out.
        shape: The wanted shape.
        check: Raises `InputError` for shapes that the model does not take.

    Returns:
        A clause for the end of a message; empty where all fit.
    """
    sizes = {
        clip.path: size
        for clip in clips
        if isinstance(clip, VideoClip) and (size := _size(clip.path)) is not None
    }
    short = [
        path for path, size in sizes.items() if _frames(size, shape) < shape.frames
    ]
    small = [
        path
        for path, (_, height, width) in sizes.items()
        if height < shape.height or width < shape.width
    ]
    if not short and not small:
        return ""
    found = [
        f"{len(paths)} too {what}"
        for what, paths in (("short", short), ("small", small))
        if paths
    ]
    text = f"of {len(sizes)} clips {' and '.join(found)} for {shape}"
    fitting = largest_shape(list(sizes.values()), shape, check)
    if fitting is None:
        return f" ({text}; no smaller shape fits them all)"
    return (
        f" ({text}; all fit --frames {fitting.frames} --height {fitting.height} --width"
        f" {fitting.width})"
    )


def largest_shape(
    sizes: list[Size], shape: ClipShape, check: Callable[[ClipShape], None]
) -> ClipShape | None:
    """Find the largest shape, no larger than a given one, that fits all clips.

    Args:
        sizes: Length in seconds, height and width in pixels of each clip.
        shape: The wanted shape, whose rate and about whose proportions are kept.
        check: Raises `InputError` for shapes that the model does not take.

    Returns:
        The shape; None where the model takes none that fits.
    """
    most = min(shape.frames, min(_frames(size, shape) for size in sizes))
    height = min(shape.height, min(size[1] for size in sizes))
    width = min(shape.width, min(size[2] for size in sizes))
    scale = min(height / shape.height, width / shape.width)

    def taken(frames: int, height: int, width: int) -> bool:
        try:
            check(ClipShape(frames, height, width, shape.fps))
        except InputError:
            return False
        return True

    def fitting(wanted: float, taken: Callable[[int], bool]) -> int:
        return next((n for n in range(math.floor(wanted + 1e-9), 0, -1) if taken(n)), 0)

    frames = fitting(most, lambda n: taken(n, shape.height, shape.width))
    if not frames:
        return None
    rows = fitting(scale * shape.height, lambda n: taken(frames, n, shape.width))
    if not rows:
        return None
    columns = fitting(scale * shape.width, lambda n: taken(frames, rows, n))
    if not columns:
        return None
    return ClipShape(frames, rows, columns, shape.fps)


def _frames(size: Size, shape: ClipShape) -> int:
    """Return how many frames at the wanted rate a clip's length has room for."""
    if math.isinf(size[0]):  # the file states none
        return shape.frames
    return max(0, math.ceil((size[0] - MARGIN) * shape.fps))


def _size(path: Path) -> Size | None:
    """Return the stated length and the shown size of a video; None if unreadable."""
    try:
        return read_size(path)
    except BadClip:
        return None
