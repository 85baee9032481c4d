"""From settings to a trainer: model, clips, draws, optimiser, hooks, checkpoints."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from accelerate import Accelerator
from accelerate.utils import gather_object
from tqdm import tqdm

from tqd_probe.core.errors import InputError
from tqd_probe.core.files import digest, write_json
from tqd_probe.core.quality_beta import KAPPA_BASE
from tqd_probe.models.base import VideoModel
from tqd_probe.models.clip_encoder import ClipEncoder, default_cache
from tqd_probe.models.load import load_model
from tqd_probe.models.native_clip import clip_shape
from tqd_probe.sampling.beta import kappa_max_from_fits
from tqd_probe.sampling.draw_stream import DrawStream
from tqd_probe.sampling.registry import make_sampler
from tqd_probe.sampling.timestep_sampler import TimestepSampler
from tqd_probe.schedules.band_schedule import BandSchedule
from tqd_probe.training import scored_clips as pools
from tqd_probe.training.settings import TrainRunSettings

log = logging.getLogger("tqd_probe")


@dataclass
class Clips:
    """The clips of a run.

    Attributes:
        train: Clips to train on, encoded.
        held_out: Validation clips, encoded, or None.
        scores: Where classes and scores come from.
        digest: Hash of all clips as they were given.
    """

    train: pools.EncodedPool
    held_out: pools.EncodedPool | None
    scores: str
    digest: str


def open_schedule(settings: TrainRunSettings, model: VideoModel) -> BandSchedule | None:
    """Read the schedule and check that it was measured on this model.

    Args:
        settings: The run's settings.
        model: The model to be trained.

    Returns:
        The schedule, or None.

    Raises:
        InputError: If weights, family, prediction or expert differ.
    """
    if settings.schedule is None:
        return None
    schedule = BandSchedule.load(settings.schedule)
    schedule.check_model(model.fingerprint, settings.allow_model_mismatch)
    for field, stated, ours in (
        ("model.prediction", schedule.model.prediction, model.prediction),
        ("model.family", schedule.model.family, model.family),
        ("model.expert", schedule.model.expert, model.expert),
    ):
        if stated != ours and not (
            settings.allow_model_mismatch and field != "model.prediction"
        ):
            raise InputError(
                f"{settings.schedule}: {field}: {stated!r}, this model's is {ours!r};"
                " levels do not carry over, measure the schedule on this model"
            )
    if settings.shift is not None and settings.shift != schedule.noise.shift:
        log.warning(
            "--shift %g: the schedule's levels were laid with %g; bands stay where they"
            " are in sigma",
            settings.shift,
            schedule.noise.shift,
        )
    return schedule


def open_pools(
    settings: TrainRunSettings,
) -> tuple[list[pools.ScoredClip], list[pools.ScoredClip]]:
    """Read the clips to train on and those to validate on; no pixels yet.

    Args:
        settings: The run's settings.

    Returns:
        Both lists; the second may be empty.

    Raises:
        InputError: If a source is at fault, or one clip is in both.
    """
    seed = settings.seed if settings.clips_seed is None else settings.clips_seed
    train = pools.read_pool(settings.clips, seed)
    if settings.validation is None:
        return pools.hold_out(train, settings.hold_out, seed)
    held = pools.read_pool(settings.validation, seed + 1)
    kept: dict[str, int] = {}
    some = []
    for each in held:
        kept[each.name] = kept.get(each.name, 0) + 1
        if kept[each.name] <= settings.validate_clips:
            some.append(each)
    mine = {_safe_identity(each) for each in some}
    both = [each.clip.id for each in train if _safe_identity(each) in mine]
    if both:
        raise InputError(
            f"--validation {settings.validation}: clip {both[0]} is also trained on;"
            " keep validation clips out of --clips"
        )
    return train, some


def _safe_identity(each: pools.ScoredClip) -> str:
    """Return a clip's identity; an unreadable one is left for the quarantine."""
    try:
        return each.clip.identity()
    except InputError:
        return f"unreadable {each.clip.id}"


def encode(
    settings: TrainRunSettings,
    accelerator: Accelerator,
    model: VideoModel,
    train: list[pools.ScoredClip],
    held: list[pools.ScoredClip],
    quiet: bool,
) -> Clips:
    """Encode all clips into the cache, shared by the processes.

    Args:
        settings: The run's settings.
        accelerator: The processes.
        model: The model, whose encoders leave memory afterwards.
        train: Clips to train on.
        held: Validation clips.
        quiet: Show no progress bar.

    Returns:
        The clips, without those in quarantine.

    Raises:
        InputError: If no clip is left to train on.
    """
    shape = clip_shape(settings, model)
    encoder = ClipEncoder(
        model,
        shape,
        settings.seed if settings.clips_seed is None else settings.clips_seed,
        settings.cache or default_cache(),
    )
    everything = [*train, *held]
    share = slice(accelerator.process_index, None, accelerator.num_processes)
    hidden = quiet or not accelerator.is_main_process
    count = len(everything[share])
    with tqdm(total=count, desc="encode", unit="clip", disable=hidden) as bar:
        mine = pools.encode_pool(encoder, everything, share, bar.update)
    model.release_encoders()
    bad = dict(gather_object(sorted(mine.items())))
    order = [each.clip.id for each in everything]
    bad = dict(sorted(bad.items(), key=lambda item: order.index(item[0])))
    if accelerator.is_main_process:
        write_json(settings.out / "quarantine.json", bad)
    good = pools.without_bad(everything, bad, settings.max_bad)
    kept = {id(each) for each in good}
    budget = int(settings.memory_gb * 1e9 / max(1, settings.workers))
    parts = [[e for e in part if id(e) in kept] for part in (train, held)]
    if not parts[0]:
        raise InputError("--clips: no usable clip to train on; see quarantine.json")
    return Clips(
        pools.EncodedPool(encoder, parts[0], budget),
        pools.EncodedPool(encoder, parts[1], budget) if parts[1] else None,
        pools.score_source(settings.clips),
        digest([pools.pool_digest(parts[0]), pools.pool_digest(parts[1])]),
    )


def sampler_factory(
    settings: TrainRunSettings,
    clips: pools.EncodedPool,
    sigma_range: tuple[float, float],
) -> Callable[[BandSchedule | None], tuple[DrawStream, dict[str, Any]]]:
    """Return what builds the draws that follow a schedule.

    Args:
        settings: The run's settings.
        clips: The clips.
        sigma_range: Levels trained.

    Returns:
        A function of the schedule; it gives the draws and the sampler settings that
        were derived from it.
    """
    pool = pools.as_clip_pool(clips.clips)

    def build(schedule: BandSchedule | None) -> tuple[DrawStream, dict[str, Any]]:
        resolved: dict[str, Any] = {}
        kappa_max = settings.kappa_max
        if settings.sampler == "beta" and kappa_max is None and schedule is not None:
            base = settings.kappa_base or KAPPA_BASE[settings.base]
            kappa_max, note = kappa_max_from_fits(schedule, pool, base)
            resolved = {"kappa_max": kappa_max, "kappa_base": base}
            log.info(note)
        sampler: TimestepSampler = make_sampler(
            settings.sampler,
            schedule=schedule,
            base=settings.base,
            logit_mean=settings.logit_mean,
            logit_std=settings.logit_std,
            shift=settings.shift,
            space=settings.space,
            kappa_base=settings.kappa_base,
            kappa_max=kappa_max,
            order=settings.order,
            sigma_range=sigma_range,
        )
        resolved |= {"shift": sampler.base.shift, "order": sampler.order}
        return DrawStream(sampler, pool, settings.seed), resolved

    return build


def open_model(settings: TrainRunSettings, accelerator: Accelerator) -> VideoModel:
    """Open the checkpoint; a LoRA's base may be short, trained weights never are.

    Args:
        settings: The run's settings.
        accelerator: The processes.

    Returns:
        The model.
    """
    short = settings.dtype == "bf16" and not settings.full
    return load_model(
        settings.ckpt,
        str(accelerator.device),
        "bf16" if short else "fp32",
        expert=settings.expert,
    )


def prompts_of(
    settings: TrainRunSettings, model: VideoModel, clips: Clips
) -> tuple[list[str], np.ndarray | None]:
    """Choose the prompts of sample videos, and the frames that they start from.

    Args:
        settings: The run's settings.
        model: The model.
        clips: The clips; four captions stand in for missing prompts.

    Returns:
        The prompts; and for image-to-video the first frames of the clips they
        describe, uint8 RGB ``[N, H, W, 3]``.

    Raises:
        InputError: If prompts are given to an image-to-video model.
    """
    from tqd_probe.training.callbacks.sample_videos import read_prompts

    if settings.prompts is not None:
        if model.takes_images:
            raise InputError(
                f"--prompts {settings.prompts}: image-to-video starts from a frame;"
                " leave it out, samples then start from held-out clips"
            )
        return read_prompts(settings.prompts), None
    pool = clips.held_out or clips.train
    by_caption = {each.clip.caption: each.clip for each in reversed(pool.clips)}
    captions = list(dict.fromkeys(each.clip.caption for each in pool.clips))
    stride = max(1, math.floor(len(captions) / 4))
    chosen = captions[::stride][:4]
    if not model.takes_images:
        return chosen, None
    videos = [by_caption[caption].read(pool.encoder.shape) for caption in chosen]
    return chosen, np.stack([video[0] for video in videos])
