"""The clips of a training with class and scores, before any pixel is read."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tqd_probe.clips.clip import Clip
from tqd_probe.clips.folder import table_of_folder
from tqd_probe.clips.source import open_clips
from tqd_probe.clips.video import VideoClip
from tqd_probe.core.clip_classes import GOLDEN
from tqd_probe.core.errors import InputError
from tqd_probe.core.file_names import expand_home
from tqd_probe.core.files import digest, file_digest
from tqd_probe.core.rng import stream
from tqd_probe.sampling.clip_pool import ClipPool
from tqd_probe.training.settings import TrainRunSettings

log = logging.getLogger("tqd_probe")


@dataclass(frozen=True)
class ScoredClip:
    """A clip with its class and scores.

    Attributes:
        clip: The clip.
        clip_class: Its class; golden where the source states none.
        mq: Motion quality in [0, 1], or None.
        vq: Visual quality in [0, 1], or None.
        repeats: How often it is drawn, relative to a clip with 1.
    """

    clip: Clip
    clip_class: str = GOLDEN
    mq: float | None = None
    vq: float | None = None
    repeats: float = 1.0


def collection_seed(settings: TrainRunSettings) -> int:
    """Return the seed of synthetic clips and of which clips are held out."""
    return settings.seed if settings.clips_seed is None else settings.clips_seed


def read_clips(
    settings: TrainRunSettings, say: Callable[[str], object] = log.info
) -> tuple[list[ScoredClip], list[ScoredClip]]:
    """Read the clips to train on and those to validate on; no pixels yet.

    Args:
        settings: The run's settings.
        say: Told how many clips of which class are left out.

    Returns:
        Both lists; the second may be empty.

    Raises:
        InputError: If a source is at fault, or one clip is in both.
    """
    seed = collection_seed(settings)
    dropped = settings.dropped_classes()
    train = drop_classes(read_scored_clips(settings.clips, seed, say), dropped, say)
    if not train:
        raise InputError(
            f"--drop-class {settings.drop_class}: no clips of --clips {settings.clips}"
            " are left; drop fewer classes"
        )
    if settings.validation is None:
        return hold_out(train, settings.hold_out, seed)
    counts: Counter[str] = Counter()
    validation = []
    judged = read_scored_clips(settings.validation, seed + 1, say)
    for each in drop_classes(judged, dropped, log.info):
        counts[each.clip_class] += 1
        if counts[each.clip_class] <= settings.validate_clips:
            validation.append(each)
    identities = {_identity(each) for each in validation}
    for each in train:
        if _identity(each) in identities:
            raise InputError(
                f"--validation {settings.validation}: clip {each.clip.id} is also"
                " trained on; keep validation clips out of --clips"
            )
    return train, validation


def drop_classes(
    clips: list[ScoredClip], names: list[str], say: Callable[[str], object]
) -> list[ScoredClip]:
    """Leave out clips of some classes.

    Args:
        clips: All clips.
        names: Classes to leave out.
        say: Told how many clips of which class are left out.

    Returns:
        The other clips.
    """
    for name in names:
        count = sum(each.clip_class == name for each in clips)
        say(f"left out by --drop-class: {count} clips of {name}")
    return [each for each in clips if each.clip_class not in names]


def read_scored_clips(
    source: str, seed: int, say: Callable[[str], object] = log.info
) -> list[ScoredClip]:
    """Open a source of clips with classes and scores; reads no pixels.

    Args:
        source: A manifest, a folder of videos, or ``synthetic:N``.
        seed: Seed of the synthetic collection.
        say: Told what a user should know of how the source is read.

    Returns:
        The clips in the order of the source, golden first, then by class.

    Raises:
        InputError: If the source is missing or at fault.
    """
    collection = open_clips(source, None, seed)
    for note in collection.notes:
        say(note)

    def scored(clip: Clip, name: str) -> ScoredClip:
        row = collection.rows.get(clip.path) if isinstance(clip, VideoClip) else None
        if row is None:
            return ScoredClip(clip, name)
        return ScoredClip(clip, name, row.mq, row.vq, row.repeats)

    clips = [scored(clip, GOLDEN) for clip in collection.golden]
    for name in sorted(collection.others):
        clips += [scored(clip, name) for clip in collection.others[name]]
    if not clips:
        raise InputError(f"--clips {source}: holds no clips; add some")
    return clips


def hold_out(
    clips: list[ScoredClip], count: int, seed: int
) -> tuple[list[ScoredClip], list[ScoredClip]]:
    """Keep clips of each class from training.

    Args:
        clips: All clips.
        count: How many of each class.
        seed: Run seed, which decides which.

    Returns:
        Clips to train on and clips held out.

    Raises:
        InputError: If a class would be left without clips.
    """
    held_out: set[int] = set()
    for name in sorted({each.clip_class for each in clips}):
        rows = [i for i, each in enumerate(clips) if each.clip_class == name]
        if count and len(rows) <= count:
            raise InputError(
                f"--hold-out {count}: class {name} has {len(rows)} clips, none would be"
                " left to train on; hold out fewer, or give --validation"
            )
        chosen = stream(seed, "hold-out", name).permutation(len(rows))[:count]
        held_out.update(rows[int(i)] for i in chosen)
    train = [each for i, each in enumerate(clips) if i not in held_out]
    return train, [clips[i] for i in sorted(held_out)]


def make_clip_pool(clips: list[ScoredClip]) -> ClipPool:
    """Return classes and scores of clips as arrays, as samplers take them."""
    return ClipPool.of(
        [each.clip_class for each in clips],
        [each.mq for each in clips],
        [each.vq for each in clips],
        [each.repeats for each in clips],
    )


def score_source(source: str) -> str:
    """Name where classes and scores come from: a manifest with its checksum."""
    path = expand_home(Path(source))
    if path.is_dir():
        path = table_of_folder(path) or path
    return f"{path.name} sha256:{file_digest(path)}" if path.is_file() else source


def clips_digest(clips: list[ScoredClip]) -> str:
    """Hash what a training depends on: pixels, captions, classes, scores, order."""
    return digest(
        [
            [e.clip.id, _identity(e), e.clip.caption, e.clip_class, e.mq, e.vq]
            # Only what is not the default: older runs are still resumed.
            + ([e.repeats] if e.repeats != 1 else [])
            for e in clips
        ]
    )


def _identity(each: ScoredClip) -> str:
    """Return a clip's identity; an unreadable one is left for the quarantine."""
    try:
        return each.clip.identity()
    except InputError:
        return f"unreadable {each.clip.id}"
