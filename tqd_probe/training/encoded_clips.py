"""Encoded clips of a training: latents and captions, read from the cache.

Every process encodes its share of the clips once; afterwards text encoder and VAE are
not needed any more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from tqdm import tqdm

from tqd_probe.clips.fitting import describe_misfits
from tqd_probe.clips.frames_ahead import choose_workers
from tqd_probe.core.errors import BadClip, InputError
from tqd_probe.core.files import digest, write_json
from tqd_probe.models.base import Conditioned, VideoModel
from tqd_probe.models.clip_encoder import ClipEncoder, make_cache
from tqd_probe.models.native_clip import clip_shape
from tqd_probe.training.scored_clips import (
    ScoredClip,
    clips_digest,
    collection_seed,
    score_source,
)
from tqd_probe.training.settings import TrainRunSettings

log = logging.getLogger("tqd_probe")


@dataclass
class _NoCaption:
    """Stands for the empty caption, whose encoding guidance needs."""

    caption: str = ""


@dataclass
class CachedClips:
    """Reads encoded clips from the cache, keeping some in memory.

    Attributes:
        encoder: Encoder whose cache holds all the clips.
        clips: The clips, all encoded.
        budget: Bytes that may still be kept in memory.
    """

    encoder: ClipEncoder
    clips: list[ScoredClip]
    budget: int
    _kept: dict[int, Conditioned] = field(default_factory=dict)
    _no_caption: dict[str, torch.Tensor] | None = None

    def get(self, row: int, drop_caption: bool = False) -> Conditioned:
        """Return one encoded clip.

        Args:
            row: Row of the clip.
            drop_caption: Give the empty caption instead of the clip's.

        Returns:
            Latents and conditioning on the CPU; of an image-to-video model with the
            clip's own first frame, as in probing.
        """
        encoded = self._kept.get(row)
        if encoded is None:
            clip = self.clips[row].clip
            encoded = Conditioned(
                self.encoder.latents(clip, None), self.encoder.conditioning(clip, None)
            )
            tensors = [encoded.latents, *encoded.conditioning.values()]
            size = sum(t.numel() * t.element_size() for t in tensors)
            if size <= self.budget:
                self.budget -= size
                self._kept[row] = encoded
        if drop_caption:
            return Conditioned(
                encoded.latents, {**encoded.conditioning, **self.no_caption()}
            )
        return encoded

    def no_caption(self) -> dict[str, torch.Tensor]:
        """Return the conditioning of the empty caption."""
        if self._no_caption is None:
            self._no_caption = self.encoder.caption(_NoCaption())  # type: ignore[arg-type]
        return self._no_caption


@dataclass
class ClipSplits:
    """All clips of a run.

    Attributes:
        train: Clips to train on.
        validation: Validation clips, or None.
        score_source: Where classes and scores come from.
        digest: Hash of all clips as they were given.
    """

    train: CachedClips
    validation: CachedClips | None
    score_source: str
    digest: str


def encode_training_clips(
    settings: TrainRunSettings,
    accelerator: Accelerator,
    model: VideoModel,
    train: list[ScoredClip],
    validation: list[ScoredClip],
    quiet: bool,
) -> ClipSplits:
    """Encode all clips into the cache, shared by the processes.

    Args:
        settings: The run's settings.
        accelerator: The processes.
        model: The model, whose encoders leave memory afterwards.
        train: Clips to train on.
        validation: Validation clips; may be empty.
        quiet: Show no progress bar.

    Returns:
        The clips, without those in quarantine.

    Raises:
        InputError: If no clip is left to train on.
    """
    encoder = ClipEncoder(
        model,
        clip_shape(settings, model),
        collection_seed(settings),
        make_cache(settings.cache),
        choose_workers(settings.workers or None, accelerator.device.type),
    )
    clips = [*train, *validation]
    share = clips[accelerator.process_index :: accelerator.num_processes]
    hidden = quiet or not accelerator.is_main_process
    with tqdm(total=len(share), desc="encode", unit="clip", disable=hidden) as bar:
        unusable = _encode_share(encoder, share, bar.update)
    model.release_encoders()
    unusable = dict(gather_object(sorted(unusable.items())))
    order = [each.clip.id for each in clips]
    unusable = dict(sorted(unusable.items(), key=lambda item: order.index(item[0])))
    if accelerator.is_main_process:
        write_json(settings.out / "quarantine.json", unusable)
    every = [each.clip for each in clips]
    _check_quarantine(
        unusable,
        settings.max_bad,
        lambda: describe_misfits(every, encoder.shape, model.check_shape),
    )
    train = [each for each in train if each.clip.id not in unusable]
    validation = [each for each in validation if each.clip.id not in unusable]
    if not train:
        raise InputError("--clips: no usable clip to train on; see quarantine.json")
    budget = int(settings.memory_gb * 1e9 / max(1, settings.workers))
    return ClipSplits(
        train=CachedClips(encoder, train, budget),
        validation=CachedClips(encoder, validation, budget) if validation else None,
        score_source=score_source(settings.clips),
        digest=digest([clips_digest(train), clips_digest(validation)]),
    )


def _encode_share(
    encoder: ClipEncoder, clips: list[ScoredClip], progress: Callable[[int], object]
) -> dict[str, str]:
    """Encode clips into the cache; returns reasons by id of those that cannot be."""
    unusable: dict[str, str] = {}
    encoder.caption(_NoCaption())  # type: ignore[arg-type]
    with encoder.reading_ahead([(each.clip, None) for each in clips]):
        for each in clips:
            try:
                encoder.latents(each.clip, None)
                encoder.conditioning(each.clip, None)
            except BadClip as error:
                unusable[each.clip.id] = str(error)
            progress(1)
    return unusable


def _check_quarantine(
    unusable: dict[str, str], max_bad: int, describe: Callable[[], str]
) -> None:
    """Log the clips that cannot be used; refuse more of them than are allowed."""
    for name, reason in unusable.items():
        log.warning("quarantine: %s: %s", name, reason)
    if len(unusable) > max_bad:
        first = next(iter(unusable.values()))
        raise BadClip(
            f"{first} ({len(unusable)} bad clips, --max-bad {max_bad}; all are in"
            f" quarantine.json){describe()}"
        )
