"""The callbacks that a run's settings ask for."""

from __future__ import annotations

from pathlib import Path

from accelerate import Accelerator

from tqd_probe.core.errors import InputError
from tqd_probe.core.jsonl import JsonlWriter
from tqd_probe.models.base import VideoModel
from tqd_probe.training.callbacks.base import Callback
from tqd_probe.training.callbacks.gradient_agreement import (
    GradientAgreement,
    check_golden,
)
from tqd_probe.training.callbacks.metrics import Metrics
from tqd_probe.training.callbacks.reprobe import Reprobe
from tqd_probe.training.callbacks.sample_videos import SampleVideos
from tqd_probe.training.callbacks.validation import Validation
from tqd_probe.training.encoded_clips import ClipSplits
from tqd_probe.training.model import LossModule
from tqd_probe.training.samples import check_prompts, choose_prompts
from tqd_probe.training.schedule_in_use import ScheduleInUse
from tqd_probe.training.scored_clips import ScoredClip
from tqd_probe.training.settings import TrainRunSettings
from tqd_probe.training.validation_set import ValidationSet


def check_callbacks(
    settings: TrainRunSettings,
    model: VideoModel,
    validation_clips: list[ScoredClip],
) -> None:
    """Refuse settings of callbacks that cannot be met, before any clip is encoded.

    Args:
        settings: The run's settings.
        model: The model to be trained.
        validation_clips: The validation clips.

    Raises:
        InputError: If the prompts of samples are at fault, or nothing reads them.
    """
    if settings.prompts is not None:
        if not settings.sample_every:
            raise InputError(
                f"--prompts {settings.prompts}: no sample videos are asked for; give"
                " --sample-every, or leave it out"
            )
        check_prompts(settings.prompts, model)
    if settings.agreement_every:
        check_golden(each.clip_class for each in validation_clips)


def make_callbacks(
    settings: TrainRunSettings,
    accelerator: Accelerator,
    model: VideoModel,
    loss: LossModule,
    clips: ClipSplits,
    in_use: ScheduleInUse,
    quiet: bool,
) -> list[Callback]:
    """Make the callbacks of a run, in the order in which they act.

    Args:
        settings: The run's settings.
        accelerator: The processes.
        model: The model in training.
        loss: The loss module, not wrapped.
        clips: The clips.
        in_use: The schedule in use, and its draws.
        quiet: Show no progress bar.

    Returns:
        The callbacks.
    """
    out = settings.out
    hidden = quiet or not accelerator.is_main_process
    classes = [each.clip_class for each in clips.train.clips]
    callbacks: list[Callback] = [Metrics(out, classes, hidden)]
    if clips.validation is not None:
        held_out = ValidationSet(clips.validation, settings.seed, model.sigma_range)
        if settings.validate_every:
            callbacks.append(
                Validation(
                    held_out,
                    every=settings.validate_every,
                    micro_batch=settings.micro_batch,
                    rows=JsonlWriter(out / "validation.jsonl"),
                )
            )
        if settings.agreement_every:
            callbacks.append(
                GradientAgreement(
                    held_out,
                    loss,
                    every=settings.agreement_every,
                    rows=JsonlWriter(out / "agreement.jsonl"),
                )
            )
    if settings.sample_every:
        shown = clips.validation or clips.train
        prompts, images = choose_prompts(settings.prompts, model, shown)
        callbacks.append(
            SampleVideos(
                model,
                clips.train.encoder.shape,
                prompts,
                images,
                every=settings.sample_every,
                folder=out / "samples",
            )
        )
    if settings.reprobe_every and in_use.schedule is not None:

        def save(folder: Path) -> None:
            model.save_full(folder)

        callbacks.append(
            Reprobe(in_use, in_use.schedule, settings.reprobe_every, save, out)
        )
    return callbacks
