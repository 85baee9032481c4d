"""Score one clip by weight-free proxies."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from tqd_probe.clips.captions import caption_path
from tqd_probe.clips.frame_stream import FrameStream
from tqd_probe.clips.shape import ClipShape
from tqd_probe.core.errors import BadClip
from tqd_probe.core.files import staged
from tqd_probe.scoring import proxies
from tqd_probe.scoring.scene_cuts import CUT_RULE, find_cuts, split_scenes
from tqd_probe.scoring.tasks import Task

SYNTHETIC_SHAPE = ClipShape(17, 64, 64, 16)


@dataclass(frozen=True)
class ReadOptions:
    """How clips are read for scoring.

    Attributes:
        fps: Rate at which frames are read, per second.
        frames: Instants at that rate, from the first frame on.
        cuts: Clips with a scene cut: ``refuse`` them, ``split`` them into one file per
            scene, or ``keep`` them.
        scenes: Folder for the files of a split.
        min_scene: Shortest scene that a split keeps, in seconds.
        seed: Seed of synthetic clips.
    """

    fps: float = 16.0
    frames: int = 81
    cuts: Literal["refuse", "split", "keep"] = "refuse"
    scenes: str = "scenes"
    min_scene: float = 1.0
    seed: int = 0

    def describe(self) -> dict[str, Any]:
        """Return everything a score depends on: these options and the proxies."""
        options = asdict(self)
        del options["scenes"]
        return {**options, "cut_rule": list(CUT_RULE), **proxies.describe()}


def score_clip(task: Task, reading: ReadOptions) -> dict[str, Any]:
    """Score one clip.

    Args:
        task: The clip.
        reading: How it is read.

    Returns:
        ``mq`` and ``vq``, the proxies in [0, 1], ``components``, and ``interlaced``
        where it looks so; or ``bad``, the reason why the clip has none; or ``scenes``,
        for a clip that was split: such results, each with its ``video``.
    """
    try:
        if reading.cuts == "split" and not task.video.startswith("synthetic:"):
            files = split_scenes(
                Path(task.video), Path(reading.scenes), reading.min_scene
            )
            if files != [Path(task.video)]:
                return {"scenes": _scenes(task, files, reading)}
        parts, interlaced = _measure(task, reading)
        return _scores(parts) | ({"interlaced": True} if interlaced else {})
    except BadClip as error:
        return {"bad": str(error)}


def _scores(parts: dict[str, float]) -> dict[str, Any]:
    """Return proxies and components."""
    return {
        "mq": proxies.motion_proxy(parts),
        "vq": proxies.visual_proxy(parts),
        "components": parts,
    }


def _scenes(
    task: Task, files: list[Path], reading: ReadOptions
) -> list[dict[str, Any]]:
    """Score the scenes of a clip; each gets the caption of the clip."""
    found = []
    try:
        caption = task.prompt()
    except BadClip:  # none is needed for scoring
        caption = ""
    for file in files:
        if caption and not caption_path(file).exists():
            with staged(caption_path(file)) as part:
                part.write_text(caption + "\n", encoding="utf-8")
        scene = replace(reading, cuts="keep")
        found.append(
            {"video": str(file), **score_clip(Task(str(file), caption), scene)}
        )
    return found


def _measure(task: Task, reading: ReadOptions) -> tuple[dict[str, float], bool]:
    """Return the components of a clip, and whether it looks interlaced.

    Raises:
        BadClip: If it cannot be read, is too short or has a scene cut.
    """
    kind, _, index = task.video.partition(":")
    if kind == "synthetic":
        from tqd_probe.clips.synthetic import synthetic_clip  # loads torch

        video = synthetic_clip(int(index), reading.seed).read(SYNTHETIC_SHAPE)
        return proxies.measure(video, len(video), SYNTHETIC_SHAPE.fps), False
    try:
        meter, times, interlaced = _metered(task, reading, None)
        if not meter.estimate_holds:  # the file does not say how long it is
            meter, times, interlaced = _metered(task, reading, meter.count)
        parts = meter.components()
    except BadClip as error:
        text = str(error)
        named = text if text.startswith(task.video) else f"{task.video}: {text}"
        raise BadClip(named) from None
    cuts = find_cuts(meter.changes) if reading.cuts == "refuse" else []
    if cuts:
        seconds = ", ".join(f"{times[cut]:.2f}" for cut in cuts[:5])
        raise BadClip(
            f"{task.video}: scenes: cut at {seconds} s; --cuts split cuts it there,"
            " --cuts keep scores it as it is"
        )
    return parts, interlaced


def _metered(
    task: Task, reading: ReadOptions, count: int | None
) -> tuple[proxies.QualityMeter, list[float], bool]:
    """Measure the frames of a file; the count is what the file states where None.

    Returns:
        The meter, the times of the frames in seconds, and whether the file looks
        interlaced.
    """
    with FrameStream(Path(task.video), reading.fps, reading.frames) as stream:
        meter = proxies.QualityMeter(stream.expected if count is None else count)
        for image in stream:
            meter.add(image, stream.times[-1])
        return meter, stream.times, stream.looks_interlaced
