"""The clips of a training: with class and scores, encoded once, bad ones set aside."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from tqd_probe.clips.clip import Clip
from tqd_probe.clips.manifest import read_manifest
from tqd_probe.clips.source import open_clips
from tqd_probe.clips.video import VideoClip
from tqd_probe.core.clip_classes import GOLDEN
from tqd_probe.core.errors import BadClip, InputError
from tqd_probe.core.files import digest, file_digest
from tqd_probe.core.rng import stream
from tqd_probe.models.base import Conditioned
from tqd_probe.models.clip_encoder import ClipEncoder
from tqd_probe.sampling.clip_pool import ClipPool

log = logging.getLogger("tqd_probe")


@dataclass(frozen=True)
class ScoredClip:
    """A clip with what samplers know about it.

    Attributes:
        clip: The clip.
        name: Its class; golden where the source states none.
        mq: Motion quality in [0, 1], or None.
        vq: Visual quality in [0, 1], or None.
    """

    clip: Clip
    name: str = GOLDEN
    mq: float | None = None
    vq: float | None = None


def read_pool(source: str, seed: int) -> list[ScoredClip]:
    """Open a source of clips with classes and scores; reads no pixels.

    Args:
        source: A manifest, a folder of videos, or ``synthetic:N``.
        seed: Seed of the synthetic collection.

    Returns:
        The clips in the order of the source, golden first, then by class.

    Raises:
        InputError: If the source is missing or at fault.
    """
    found = open_clips(source, None, seed)
    path = Path(source)
    rows = {row.video: row for row in read_manifest(path)} if path.is_file() else {}

    def scored(clip: Clip, name: str) -> ScoredClip:
        row = rows.get(clip.path) if isinstance(clip, VideoClip) else None
        return ScoredClip(clip, name, row.mq if row else None, row.vq if row else None)

    pool = [scored(clip, GOLDEN) for clip in found.golden]
    for name in sorted(found.others):
        pool += [scored(clip, name) for clip in found.others[name]]
    if not pool:
        raise InputError(f"--clips {source}: holds no clips; add some")
    return pool


def score_source(source: str) -> str:
    """Say where classes and scores come from: file name and checksum of a manifest."""
    path = Path(source)
    return f"{path.name} sha256:{file_digest(path)}" if path.is_file() else source


def hold_out(
    pool: list[ScoredClip], count: int, seed: int
) -> tuple[list[ScoredClip], list[ScoredClip]]:
    """Keep clips of each class from training.

    Args:
        pool: All clips.
        count: How many of each class.
        seed: Run seed, which decides which.

    Returns:
        Clips to train on and clips held out.

    Raises:
        InputError: If a class would be left without clips.
    """
    away: set[int] = set()
    for name in sorted({each.name for each in pool}):
        rows = [i for i, each in enumerate(pool) if each.name == name]
        if count and len(rows) <= count:
            raise InputError(
                f"--hold-out {count}: class {name} has {len(rows)} clips, none would be"
                " left to train on; hold out fewer, or give --validation"
            )
        picked = stream(seed, "hold-out", name).permutation(len(rows))[:count]
        away.update(rows[int(i)] for i in picked)
    kept = [each for i, each in enumerate(pool) if i not in away]
    return kept, [pool[i] for i in sorted(away)]


def as_clip_pool(pool: list[ScoredClip]) -> ClipPool:
    """Return what samplers need of a list of clips."""
    return ClipPool.of(
        [each.name for each in pool],
        [each.mq for each in pool],
        [each.vq for each in pool],
    )


def pool_digest(pool: list[ScoredClip]) -> str:
    """Hash what a training depends on: pixels, captions, classes, scores, order."""
    rows = [
        [e.clip.id, e.clip.identity(), e.clip.caption, e.name, e.mq, e.vq] for e in pool
    ]
    return digest(rows)


@dataclass
class _Blank:
    """Stands for no caption."""

    caption: str = ""


@dataclass
class EncodedPool:
    """Reads encoded clips from the cache, keeping some in memory.

    Attributes:
        encoder: Encoder whose cache holds all the clips.
        clips: The clips, all encoded.
        budget: Bytes that may be kept in memory.
    """

    encoder: ClipEncoder
    clips: list[ScoredClip]
    budget: int
    _kept: dict[int, Conditioned] = field(default_factory=dict)
    _blank: dict[str, torch.Tensor] | None = None

    def get(self, row: int, drop_text: bool = False) -> Conditioned:
        """Return one encoded clip.

        Args:
            row: Place of the clip.
            drop_text: Give the empty caption instead of the clip's.

        Returns:
            Latents and conditioning on the CPU; of an image-to-video model with the
            clip's own first frame, as in probing.
        """
        found = self._kept.get(row)
        if found is None:
            clip = self.clips[row].clip
            found = Conditioned(
                self.encoder.latents(clip, None), self.encoder.conditioning(clip, None)
            )
            tensors = [found.latents, *found.conditioning.values()]
            size = sum(t.numel() * t.element_size() for t in tensors)
            if size <= self.budget:
                self.budget -= size
                self._kept[row] = found
        if drop_text:
            return Conditioned(found.latents, {**found.conditioning, **self.blank()})
        return found

    def blank(self) -> dict[str, torch.Tensor]:
        """Return the conditioning of the empty caption."""
        if self._blank is None:
            self._blank = self.encoder.caption(_Blank())  # type: ignore[arg-type]
        return self._blank


def encode_pool(
    encoder: ClipEncoder,
    pool: list[ScoredClip],
    share: slice,
    progress: Callable[[int], object] = lambda _: None,
) -> dict[str, str]:
    """Encode clips into the cache.

    Args:
        encoder: The encoder.
        pool: The clips.
        share: Which of them this process encodes.
        progress: Called with 1 for each clip done.

    Returns:
        Reasons by clip id for clips that cannot be used.
    """
    quarantine: dict[str, str] = {}
    encoder.caption(_Blank())  # type: ignore[arg-type]
    for each in pool[share]:
        try:
            encoder.latents(each.clip, None)
            encoder.conditioning(each.clip, None)
        except BadClip as error:
            quarantine[each.clip.id] = str(error)
        progress(1)
    return quarantine


def without_bad(
    pool: list[ScoredClip], quarantine: dict[str, str], max_bad: int
) -> list[ScoredClip]:
    """Leave quarantined clips out.

    Args:
        pool: The clips.
        quarantine: Reasons by clip id.
        max_bad: How many clips may be left out.

    Returns:
        The usable clips.

    Raises:
        BadClip: If there are more bad clips than allowed; names the first.
        InputError: If no clip is left.
    """
    for name, reason in quarantine.items():
        log.warning("quarantine: %s: %s", name, reason)
    if len(quarantine) > max_bad:
        first = next(iter(quarantine.values()))
        raise BadClip(
            f"{first} ({len(quarantine)} bad clips, --max-bad {max_bad}; all are in"
            " quarantine.json)"
        )
    usable = [each for each in pool if each.clip.id not in quarantine]
    if not usable:
        raise InputError("--clips: no usable clip; mend those in quarantine.json")
    return usable
