"""One training from its settings to its results."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from accelerate import Accelerator
from accelerate.state import AcceleratorState

from tqd_probe.core.determinism import deterministic
from tqd_probe.core.errors import InputError
from tqd_probe.core.files import file_digest, write_json
from tqd_probe.core.jsonl import JsonlWriter, read_jsonl
from tqd_probe.core.run_directory import add_log_file
from tqd_probe.models.activation_memory import set_checkpointing
from tqd_probe.models.base import VideoModel, collate
from tqd_probe.plots.training_figures import density_figure, validation_figure, write
from tqd_probe.sampling.draw_stream import DrawStream
from tqd_probe.sampling.level_density import realised_density, table_of, warnings_of
from tqd_probe.schedules.band_schedule import BandSchedule
from tqd_probe.training import run_configuration as rundir
from tqd_probe.training import sampler as build
from tqd_probe.training.accelerator import is_sharded, make_accelerator, start_trackers
from tqd_probe.training.batches import StepData
from tqd_probe.training.callbacks.base import Hook
from tqd_probe.training.callbacks.gradient_agreement import Agreement
from tqd_probe.training.callbacks.metrics import Telemetry
from tqd_probe.training.callbacks.reprobe import Reprobe
from tqd_probe.training.callbacks.sample_videos import Samples
from tqd_probe.training.callbacks.validation import HeldOut, Validation
from tqd_probe.training.checkpoint import CheckpointStore
from tqd_probe.training.ema import Ema
from tqd_probe.training.export_weights import weights_exporter
from tqd_probe.training.optimisation import make_optimiser
from tqd_probe.training.parameters import LossModule, make_trainable, trained_parameters
from tqd_probe.training.result import publish, summary
from tqd_probe.training.settings import TrainRunSettings
from tqd_probe.training.trainer import Trainer
from tqd_probe.training.weight_metadata import provenance

log = logging.getLogger("tqd_probe")


@dataclass
class TrainResult:
    """How a training ended.

    Attributes:
        step: Steps done.
        stopped_by: Signal that ended it early, or 0.
        result: The trained weights in diffusers' format; the newest checkpoint's
            where the training was stopped.
        files: Everything else worth looking at.
        says: What is printed at the end.
        main: Whether this is the process that reports.
    """

    step: int
    stopped_by: int
    result: Path
    files: list[Path]
    says: str
    main: bool = True


def train(
    settings: TrainRunSettings | None = None,
    *,
    hooks: Sequence[Hook] = (),
    quiet: bool = False,
    figures: bool = True,
    **options: Any,
) -> TrainResult:
    """Train a video diffusion model with a timestep distribution per clip.

    Args:
        settings: The settings; or give them one by one.
        hooks: What else shall happen beside training, after each step.
        quiet: Show no progress bars and print no tables.
        figures: Draw the density and the validation.
        **options: Fields of `TrainRunSettings`, such as ``ckpt="tiny"``.

    Returns:
        How it ended and where the weights are.

    Raises:
        InputError: If checkpoint, clips, schedule or an option is at fault.
        GradientError: If a loss or gradient is not finite.
    """
    settings = settings or TrainRunSettings(**options)
    accelerator = make_accelerator(settings)
    with ExitStack() as stack:
        stack.callback(AcceleratorState._reset_state, False)
        session = _Session(settings, accelerator, quiet, stack, hooks)
        session.figures = figures
        return session.run()


class _Session:
    """The parts of one training while it is put together and run."""

    figures = True

    def __init__(
        self,
        settings: TrainRunSettings,
        accelerator: Accelerator,
        quiet: bool,
        stack: ExitStack,
        more: Sequence[Hook],
    ) -> None:
        self.settings, self.accelerator = settings, accelerator
        self.more = more
        self.quiet, self.stack = quiet, stack
        self.main = accelerator.is_main_process
        self.out = settings.out

    def run(self) -> TrainResult:
        settings, accelerator = self.settings, self.accelerator
        model = build.open_model(settings, accelerator)
        self.schedule = build.open_schedule(settings, model)
        train_clips, held = build.open_pools(settings)
        if self.main:
            self._claim(model)
        accelerator.wait_for_everyone()
        clips = build.encode(
            settings, accelerator, model, train_clips, held, self.quiet
        )
        if self.main:
            self._claim(model, clips)
        sigma_range = model.sigma_range
        factory = build.sampler_factory(settings, clips.train, sigma_range)
        draws, self.resolved = factory(self.schedule)
        if self.main:
            self._show_density(draws, model, clips)
        parameters = sum(p.numel() for p in model.network.parameters())
        self.stack.enter_context(deterministic(accelerator.device, parameters))
        trainer = self._trainer(model, clips, draws, factory, sigma_range)
        self._resume(trainer)
        trainer.run()
        return self._finish(trainer)

    def _claim(self, model: VideoModel, clips: build.Clips | None = None) -> None:
        """Take the directory, first by settings, then with the clips' hash."""
        path = self.settings.schedule
        inputs = {
            "checkpoint": model.fingerprint,
            "encoders": model.encoder_fingerprint,
            "schedule": file_digest(path) if path else None,
        }
        if clips is not None:
            inputs["clips"] = clips.digest
            self.lock.close()
        known = clips is not None or self.settings.resume
        description = rundir.describe(self.settings, inputs)
        self.lock: IO[str] = rundir.claim(
            self.out, description, known, clips is not None
        )
        if clips is None:
            handler = add_log_file(self.out)
            self.stack.callback(log.removeHandler, handler)
            self.stack.callback(handler.close)
        else:
            self.stack.callback(self.lock.close)

    def _show_density(
        self, draws: DrawStream, model: VideoModel, clips: build.Clips
    ) -> None:
        settings = self.settings
        total = settings.steps * settings.batch_size
        if model.expert is not None and not self.quiet:
            self._show_experts(model, clips, total)
        density = realised_density(draws, total)
        write_json(self.out / "density.json", density.to_json())
        title = f"{settings.sampler}, {self.resolved['order']} first"
        if self.figures:
            write(density_figure(density, title), self.out / "density.png")
        lines = [table_of(density)]
        lines += [f"warning: {text}" for text in warnings_of(density)]
        for text in warnings_of(density):
            log.warning(text)
        if not self.quiet:
            print("\n".join(lines), flush=True)

    def _show_experts(self, model: VideoModel, clips: build.Clips, total: int) -> None:
        """Print how draws would be shared by both experts of a model with two."""
        factory = build.sampler_factory(self.settings, clips.train, (0.0, 1.0))
        edges = [edge for edge in model.sigma_range if 0 < edge < 1]
        both = realised_density(factory(self.schedule)[0], total, edges[0])
        print(f"both experts, which meet at sigma {edges[0]:g}:")
        print(table_of(both))
        for text in warnings_of(both):
            print(f"warning: {text}")
        print(f"the {model.expert}-noise expert, trained now:", flush=True)

    def _trainer(
        self,
        model: VideoModel,
        clips: build.Clips,
        draws: DrawStream,
        factory: Any,
        sigma_range: Any,
    ) -> Trainer:
        settings, accelerator = self.settings, self.accelerator
        make_trainable(model, settings)
        set_checkpointing(
            model,
            settings.checkpointing,
            clip=collate([clips.train.get(0)]),
            batch_size=settings.micro_batch,
        )
        bare = LossModule(model)
        optimiser = make_optimiser(
            list(trained_parameters(model.network).values()), settings
        )
        loss, wrapped = accelerator.prepare(bare, optimiser)
        parameters = trained_parameters(model.network)
        data = StepData(
            draws,
            clips.train,
            settings.batch_size,
            settings.text_dropout,
            accelerator.process_index,
            accelerator.num_processes,
        )
        if settings.report_to != "none":
            start_trackers(accelerator, settings)

        def describe() -> dict[str, str]:
            return provenance(
                settings,
                model.fingerprint,
                self._schedule_now(hooks),
                clips.scores,
                trainer.step,
                self.resolved,
            )

        names = [each.name for each in clips.train.clips]
        hidden = self.quiet or not self.main
        hooks: list[Hook] = [Telemetry(self.out, names, hidden)]
        if clips.held_out is not None and settings.validate_every:
            held_out = HeldOut(clips.held_out, settings.seed, sigma_range)
            lines = JsonlWriter(self.out / "validation.jsonl")
            size = settings.micro_batch
            hooks.append(Validation(held_out, settings.validate_every, size, lines))
        if settings.agreement_every and clips.held_out is not None:
            held_out = HeldOut(clips.held_out, settings.seed, sigma_range)
            lines = JsonlWriter(self.out / "agreement.jsonl")
            hooks.append(Agreement(held_out, bare, lines))
        if settings.sample_every:
            prompts, images = build.prompts_of(settings, model, clips)
            shape, place = clips.train.encoder.shape, self.out / "samples"
            hooks.append(Samples(model, shape, prompts, images, place))
        if settings.reprobe_every and self.schedule is not None:

            def follow(schedule: BandSchedule) -> DrawStream:
                stream, self.resolved = factory(schedule)
                return stream

            def save(folder: Path) -> None:
                model.save_full(folder)

            hooks.append(
                Reprobe(self.schedule, settings.reprobe_every, save, follow, self.out)
            )
        hooks += self.more
        trainer = Trainer(
            settings=settings,
            accelerator=accelerator,
            loss=loss,
            parameters=parameters,
            optimiser=wrapped,
            data=data,
            store=CheckpointStore(self.out / "checkpoints", settings.keep),
            export=weights_exporter(settings, model, describe, is_sharded(accelerator)),
            hooks=hooks,
            ema=Ema(parameters, settings.ema_decay) if settings.ema_decay else None,
        )
        return trainer

    def _schedule_now(self, hooks: list[Hook]) -> BandSchedule | None:
        for hook in hooks:
            if isinstance(hook, Reprobe):
                return hook.schedule
        return self.schedule

    def _resume(self, trainer: Trainer) -> None:
        checkpoint, skipped = trainer.store.latest()
        if not self.settings.resume:
            return
        if self.main:
            for text in skipped:
                log.warning(text)
                if not self.quiet:
                    print(text, flush=True)
        if checkpoint is None:
            if self.main:
                self._say("--resume: no valid checkpoint yet; starting at step 0")
            return
        if checkpoint.step > self.settings.steps:
            raise InputError(
                f"--steps {self.settings.steps}: the run is at step {checkpoint.step};"
                " give more"
            )
        trainer.load(checkpoint)
        if self.main:
            self._say(f"resumed at step {checkpoint.step} from {checkpoint.folder}")

    def _say(self, text: str) -> None:
        log.info(text)
        if not self.quiet:
            print(text, flush=True)

    def _finish(self, trainer: Trainer) -> TrainResult:
        self.accelerator.end_training()
        newest, _ = trainer.store.latest()
        assert newest is not None  # run() has just saved
        done = trainer.step >= self.settings.steps
        result = newest.folder / "weights"
        files = [self.out / name for name in ("density.png", "metrics.jsonl")]
        if self.main and done:
            result = publish(result, self.out / "result")
            rows = read_jsonl(self.out / "validation.jsonl")
            if rows and self.figures:
                files.append(
                    write(validation_figure(rows), self.out / "validation.png")
                )
        says = summary(self.out, trainer.step, self.settings.steps)
        if self.main:
            log.info("ended at step %d", trainer.step)
        return TrainResult(
            *(trainer.step, trainer.stopped_by, result, files, says), self.main
        )
