"""Sources of clips: the synthetic collection, a folder of videos, a manifest."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tqd_probe.clips.captions import read_caption
from tqd_probe.clips.clip import Clip
from tqd_probe.clips.clip_table import KNOWN, explained_clips
from tqd_probe.clips.folder import (
    notes_of_folder,
    refuse_without_videos,
    table_of_folder,
)
from tqd_probe.clips.manifest import ManifestRow, read_manifest
from tqd_probe.clips.source_names import is_synthetic
from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.clips.video import VideoClip, list_videos
from tqd_probe.core.clip_classes import GOLDEN, classify
from tqd_probe.core.errors import BadClip, InputError
from tqd_probe.core.file_names import expand_home, refuse_undecodable


@dataclass
class ClipSet:
    """The clips of a source.

    Attributes:
        golden: Clips of class golden or of no stated class, in the source's order.
        others: Clips of the other classes, by class.
        rows: Row of each clip in a table of clips, by path.
        notes: What a user should know of how the source is read, one sentence each.
    """

    golden: list[Clip]
    others: dict[str, list[Clip]] = field(default_factory=dict)
    rows: dict[Path, ManifestRow] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def open_clips(
    source: str,
    limit: int | None,
    seed: int,
    min_quality: tuple[float, float] | None = None,
) -> ClipSet:
    """Open a source of clips; no pixels are read yet.

    Args:
        source: ``synthetic``, ``synthetic:N``, a folder of videos with captions in
            text files of the same name or in a table, or a manifest file.
        limit: How many golden clips to take, the first ones; None for all.
        seed: Seed of the synthetic collection.
        min_quality: Motion and visual quality from which a clip is good, in [0, 1].
            They decide the class of manifest rows without one. None: such rows are
            golden.

    Returns:
        The clips.

    Raises:
        InputError: If the source is unknown, empty, at fault, or has fewer golden
            clips than the limit.
    """
    if limit is not None and limit < 1:
        raise InputError(f"{source}: {limit} clips asked for; ask for at least 1")
    if is_synthetic(source):
        return _synthetic(source, limit, seed)
    path = expand_home(Path(source))
    if path.is_dir():
        notes: list[str] = []
        table = table_of_folder(path, notes=notes)
        if table is None:
            with explained_clips(path):
                clips = _folder(path, limit)
        else:
            clips = _manifest(table, limit, min_quality)
            clips.notes += notes_of_folder(path, clips.rows)
        clips.notes[:0] = notes
        return clips
    if path.is_file():
        return _manifest(path, limit, min_quality)
    raise InputError(
        f"{source}: no such folder or file; give synthetic:N, a folder of videos, or"
        f" a manifest: {KNOWN}"
    )


def refuse_duplicates(source: str, clips: list[Clip]) -> None:
    """Refuse two clips with the same content: they are not independent samples.

    Args:
        source: What the user gave for ``--clips``.
        clips: The clips; one that cannot be read is skipped here and quarantined later.

    Raises:
        InputError: If two clips have the same content.
    """
    seen: dict[str, str] = {}
    for clip in clips:
        try:
            identity = clip.identity()
        except BadClip:
            continue
        if identity in seen:
            raise InputError(
                f"--clips {source}: {seen[identity]} and {clip.id} are the same video;"
                " keep one, or the intervals would be too narrow"
            )
        seen[identity] = clip.id


def _synthetic(source: str, limit: int | None, seed: int) -> ClipSet:
    """Return the first clips of the synthetic collection.

    Raises:
        InputError: If the number of clips is missing or is none.
    """
    _, colon, text = source.partition(":")
    if colon:
        if not (text.isascii() and text.isdigit() and int(text) > 0):
            raise InputError(
                f"{source}: {text!r} is not a number of clips; write synthetic:24"
            )
        _check_limit(source, int(text), limit)
        count = int(text) if limit is None else limit
    elif limit is None:
        raise InputError(
            f"{source}: the synthetic collection has no end; say how many, as in"
            " synthetic:24"
        )
    else:
        count = limit
    return ClipSet([synthetic_clip(index, seed) for index in range(count)])


def _folder(folder: Path, limit: int | None) -> ClipSet:
    """Return a folder's videos by name; captions are in text files beside them.

    Raises:
        InputError: If there are no videos, or a name is not text.
    """
    refuse_without_videos(folder)
    videos = list_videos(folder)
    refuse_undecodable(videos)
    ids = _clip_ids(folder, videos, str(folder))
    _check_limit(str(folder), len(videos), limit)
    clips = ClipSet(
        [
            VideoClip(name, read_caption(video), video)
            for name, video in zip(ids[:limit], videos[:limit])
        ]
    )
    clips.notes.append(f"{len(clips.golden)} clips of {folder} are taken as golden")
    clips.notes += notes_of_folder(folder, videos)
    return clips


def _manifest(
    path: Path, limit: int | None, min_quality: tuple[float, float] | None
) -> ClipSet:
    """Return a manifest's clips by class."""
    clips = ClipSet([])
    rows = read_manifest(path, clips.notes)
    refuse_undecodable(row.video for row in rows)
    ids = _clip_ids(path.parent, [row.video for row in rows], str(path))
    unlabelled = 0
    for name, row in zip(ids, rows):
        clip = VideoClip(name, row.caption, row.video)
        clips.rows[row.video] = row
        label = str(row.class_) if row.class_ is not None else GOLDEN
        if row.class_ is None and min_quality is not None:
            label = _class_by_scores(path, row, min_quality)
        elif row.class_ is None:
            unlabelled += 1
        if label == GOLDEN:
            clips.golden.append(clip)
        else:
            clips.others.setdefault(label, []).append(clip)
    _check_limit(str(path), len(clips.golden), limit)
    clips.golden = clips.golden[:limit]
    if unlabelled:
        clips.notes.append(
            f"{unlabelled} clips of {path} state no class and are taken as golden"
        )
    return clips


def _class_by_scores(
    path: Path, row: ManifestRow, min_quality: tuple[float, float]
) -> str:
    """Return the class of a clip by its scores.

    Raises:
        InputError: If a score is missing.
    """
    if row.mq is None or row.vq is None:
        missing = "mq" if row.mq is None else "vq"
        raise InputError(
            f"{path}: {row.video.name}: {missing}: missing, and --mq-min and --vq-min"
            " need both scores; score the clips or give them a class"
        )
    return classify(row.mq, row.vq, mq_min=min_quality[0], vq_min=min_quality[1])


def _clip_ids(folder: Path, videos: Sequence[Path], source: str) -> list[str]:
    """Return clip ids: paths relative to the folder, without suffix.

    Raises:
        InputError: If two ids are equal.
    """
    seen: dict[str, Path] = {}
    for video in videos:
        start = Path(os.path.abspath(folder)) if video.is_absolute() else folder
        below = video.relative_to(start) if video.is_relative_to(start) else video
        name = below.with_suffix("").as_posix()
        if name in seen:
            raise InputError(
                f"{source}: clips {seen[name].name} and {video.name} have the same"
                f" name {name!r}; rename one"
            )
        seen[name] = video
    return list(seen)


def _check_limit(source: str, present: int, limit: int | None) -> None:
    """Refuse a limit above the number of clips.

    Raises:
        InputError: If fewer are present.
    """
    if limit is not None and limit > present:
        raise InputError(
            f"{source}: {limit} golden clips asked for, {present} present; add clips"
            " or ask for fewer (--num-clips)"
        )
