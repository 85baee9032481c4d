"""`train`: one training, from its settings to its results."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from tqd_probe.core.config_file import CONFIG_FILE, write_config
from tqd_probe.core.determinism import deterministic
from tqd_probe.core.errors import InputError
from tqd_probe.core.files import write_json
from tqd_probe.core.float32_precision import float32_precision
from tqd_probe.core.processes import Processes
from tqd_probe.core.run_directory import (
    DESCRIPTION_FILE,
    add_log_file,
    remove_log_file,
)
from tqd_probe.models.activation_memory import set_checkpointing
from tqd_probe.models.base import VideoModel, collate
from tqd_probe.models.resolved_settings import describe_types, resolve_settings
from tqd_probe.plots.save import write_figure
from tqd_probe.plots.training_figures import density_figure
from tqd_probe.sampling.level_density import (
    density_table,
    density_warnings,
    realised_density,
    repetition_warning,
)
from tqd_probe.training.accelerator import is_sharded, make_accelerator, start_trackers
from tqd_probe.training.batches import TrainingBatches
from tqd_probe.training.callbacks.base import Callback
from tqd_probe.training.callbacks.make import check_callbacks, make_callbacks
from tqd_probe.training.callbacks.validation import Validation
from tqd_probe.training.checkpoint import CheckpointStore
from tqd_probe.training.clip_shape_in_use import take_clip_shape
from tqd_probe.training.ema import Ema
from tqd_probe.training.encoded_clips import ClipSplits, encode_training_clips
from tqd_probe.training.export_weights import export_weights
from tqd_probe.training.model import (
    LossModule,
    load_model_to_train,
    make_trainable,
    read_init_lora,
)
from tqd_probe.training.optimisation import check_optimiser, make_optimiser
from tqd_probe.training.parameters import trained_parameters
from tqd_probe.training.result import TrainResult, finish_training
from tqd_probe.training.run_configuration import (
    check_directory,
    describe_training,
    input_fingerprints,
    reserve_directory,
)
from tqd_probe.training.schedule_in_use import ScheduleInUse, load_schedule
from tqd_probe.training.scored_clips import make_clip_pool, read_clips
from tqd_probe.training.settings import TrainRunSettings
from tqd_probe.training.trainer import Trainer
from tqd_probe.training.weight_metadata import training_metadata

log = logging.getLogger("tqd_probe")


def train(
    settings: TrainRunSettings | None = None,
    *,
    callbacks: Sequence[Callback] = (),
    quiet: bool = False,
    figures: bool = True,
    start_losses: np.ndarray | None = None,
    **options: Any,
) -> TrainResult:
    """Train a video diffusion model with a timestep distribution per clip.

    The same call resumes a training that was stopped; one with other settings is
    refused.

    Args:
        settings: The settings; or give them one by one.
        callbacks: More callbacks, called after the run's own.
        quiet: Show no progress bars and print no tables.
        figures: Draw the density and the validation.
        start_losses: Losses of the validation clips before the first step, where a
            training of the same weights, clips and seed has found them
            ``[clips, buckets]``; None: they are computed.
        **options: Fields of `TrainRunSettings`, such as ``ckpt="tiny"``.

    Returns:
        How it ended and where the weights are.

    Raises:
        InputError: If checkpoint, clips, schedule or an option is at fault.
        GradientError: If a loss or gradient is not finite.
    """
    given = settings or TrainRunSettings(**options)
    settings = resolve_settings(given)
    accelerator = make_accelerator(settings)
    processes = Processes(accelerator.process_index, accelerator.num_processes)
    with ExitStack() as stack:
        stack.callback(AcceleratorState._reset_state, False)
        stack.enter_context(float32_precision(settings.tf32 == "on"))
        show = _printer(quiet, accelerator)

        # Set up: whatever can be refused is refused here, before any slow work.
        model = load_model_to_train(settings, accelerator)
        read_init_lora(model, settings)
        model.names_to_save(settings.save_keys)
        schedule = load_schedule(settings, model)
        settings, note = take_clip_shape(settings, [schedule], model)
        show(note)
        train_clips, validation_clips = read_clips(settings, show)
        check_callbacks(settings, model, validation_clips)
        check_optimiser(settings)
        pool = make_clip_pool(train_clips)
        steps = model.timestep_levels
        ScheduleInUse(settings, pool, model.sigma_range, schedule, steps)

        # Reserve the run directory; the clips' hash is known once they are encoded.
        inputs = input_fingerprints(settings, model)

        def reserve() -> None:
            lock = reserve_directory(settings, describe_training(settings, inputs))
            stack.callback(lock.close)
            stack.callback(remove_log_file, add_log_file(settings.out))
            write_config(given, settings.out / CONFIG_FILE)

        processes.broadcast_from_main(reserve)
        show(describe_types(settings))
        clips = encode_training_clips(
            settings, accelerator, model, train_clips, validation_clips, quiet
        )
        inputs["clips"] = clips.digest
        description = describe_training(settings, inputs)
        processes.broadcast_from_main(lambda: check_directory(settings, description))

        # Which clip is trained at which level.
        pool = make_clip_pool(clips.train.clips)
        in_use = ScheduleInUse(settings, pool, model.sigma_range, schedule, steps)
        for note in in_use.notes:
            show(note)
        if accelerator.is_main_process:
            _report_density(settings, model, in_use, figures, show)

        # Train, from the newest checkpoint where there is one.
        size = sum(p.numel() for p in model.network.parameters())
        exact = settings.exact_resume == "on"
        stack.enter_context(deterministic(accelerator.device, size, exact))
        trainer = _make_trainer(
            settings, accelerator, model, clips, in_use, callbacks, quiet
        )
        for callback in trainer.callbacks:
            if isinstance(callback, Validation):
                callback.known_start = start_losses
        if accelerator.is_main_process:  # nothing can be refused any more
            write_json(settings.out / DESCRIPTION_FILE, description.model_dump())
        _resume(trainer, show)
        trainer.run()
        accelerator.end_training()
        return finish_training(trainer, figures)


def _printer(quiet: bool, accelerator: Accelerator) -> Callable[..., None]:
    """Return what logs a text and prints it, in the main process alone."""

    def show(text: str, level: int = logging.INFO) -> None:
        if accelerator.is_main_process:
            log.log(level, text)
            if not quiet:
                prefix = "warning: " if level == logging.WARNING else ""
                print(prefix + text, flush=True)

    return show


def _report_density(
    settings: TrainRunSettings,
    model: VideoModel,
    in_use: ScheduleInUse,
    figures: bool,
    show: Callable[..., None],
) -> None:
    """Write, draw and print the density of levels that the run will train."""
    total = settings.steps * settings.batch_size
    if model.expert is not None:
        # Show how draws would be shared by both experts.
        boundary = next(edge for edge in model.sigma_range if 0 < edge < 1)
        full_range = in_use.over_range((0.0, 1.0))
        both = realised_density(full_range, total, boundary)
        show(f"both experts, which meet at sigma {boundary:g}:\n{density_table(both)}")
        for text in density_warnings(both):
            show(text, logging.WARNING)
        show(f"the {model.expert}-noise expert, trained now:")
    density = realised_density(in_use.draws, total)
    write_json(settings.out / "density.json", density.to_json())
    if figures:
        title = f"{settings.sampler}, {in_use.resolved['order']} first"
        write_figure(density_figure(density, title), settings.out / "density.png")
    show(density_table(density))
    for text in density_warnings(density):
        show(text, logging.WARNING)
    often = repetition_warning(sum(density.clips.values()), total)
    if often and settings.sampler == "bands":
        show(often, logging.WARNING)


def _make_trainer(
    settings: TrainRunSettings,
    accelerator: Accelerator,
    model: VideoModel,
    clips: ClipSplits,
    in_use: ScheduleInUse,
    more_callbacks: Sequence[Callback],
    quiet: bool,
) -> Trainer:
    """Build the trainer and its parts."""
    make_trainable(model, settings)
    set_checkpointing(
        model,
        settings.checkpointing,
        clip=collate([clips.train.get(0)]),
        batch_size=settings.micro_batch,
    )
    bare_loss = LossModule(model)
    optimiser = make_optimiser(
        list(trained_parameters(model.network).values()), settings
    )
    # Offloaded weights are where they belong.
    move = [not settings.offload, True]
    loss, optimiser = accelerator.prepare(bare_loss, optimiser, device_placement=move)
    parameters = trained_parameters(model.network)  # after they may be sharded
    if settings.report_to != "none":
        start_trackers(accelerator, settings)

    def export(folder: Path, weights: dict[str, torch.Tensor], step: int) -> None:
        metadata = training_metadata(
            settings=settings,
            fingerprint=model.fingerprint,
            schedule=in_use.schedule,
            scores=clips.score_source,
            step=step,
            resolved=in_use.resolved,
        )
        sharded = is_sharded(accelerator)
        export_weights(settings, model, folder, weights, metadata, sharded)

    own = make_callbacks(settings, accelerator, model, bare_loss, clips, in_use, quiet)
    return Trainer(
        settings=settings,
        accelerator=accelerator,
        loss=loss,
        parameters=parameters,
        optimiser=optimiser,
        batches=TrainingBatches(
            draws=in_use.draws,
            clips=clips.train,
            batch_size=settings.batch_size,
            text_dropout=settings.text_dropout,
            rank=accelerator.process_index,
            world=accelerator.num_processes,
        ),
        store=CheckpointStore(settings.out / "checkpoints", settings.keep),
        export=export,
        callbacks=[*own, *more_callbacks],
        ema=Ema(parameters, settings.ema_decay) if settings.ema_decay else None,
    )


def _resume(trainer: Trainer, show: Callable[..., None]) -> None:
    """Load the newest valid checkpoint, if there is one."""
    checkpoint, skipped = trainer.store.latest()
    for text in skipped:
        show(text, logging.WARNING)
    if checkpoint is None:
        return
    steps = trainer.settings.steps
    if checkpoint.step > steps:
        raise InputError(
            f"--steps {steps}: the run is already at step {checkpoint.step};"
            " give at least that many"
        )
    trainer.load(checkpoint)
    show(f"resumed at step {checkpoint.step} from {checkpoint.folder}")
