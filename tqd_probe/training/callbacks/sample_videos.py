"""Sample videos from fixed prompts and seeds, with a contact sheet."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.video import write_video
from tqd_probe.models.base import VideoModel
from tqd_probe.plots.save import write_figure
from tqd_probe.plots.training_figures import contact_sheet_figure
from tqd_probe.training.callbacks.base import Callback, RunningTraining, StepResult


class SampleVideos(Callback):
    """Generates the same prompts from the same noise every so many steps."""

    name = "samples"

    def __init__(
        self,
        model: VideoModel,
        shape: ClipShape,
        prompts: list[str],
        images: np.ndarray | None,
        every: int,
        folder: Path,
    ) -> None:
        """Set what is generated.

        Args:
            model: The model in training.
            shape: Shape of the videos.
            prompts: The prompts.
            images: First frames, one per prompt, for image-to-video.
            every: Steps between samples.
            folder: Where videos and contact sheets go.
        """
        self.model, self.shape = model, shape
        self.prompts, self.images = prompts, images
        self.every, self.folder = every, folder

    def on_train_begin(self, training: RunningTraining) -> None:
        """Generate with the weights training starts from."""
        if training.step == 0:
            self.generate(training)

    def on_step_end(self, training: RunningTraining, result: StepResult) -> None:
        """Generate if it is due."""
        if self.is_due(training):
            self.generate(training)

    def generate(self, training: RunningTraining) -> None:
        """Write videos and a contact sheet of the present (averaged) weights.

        Args:
            training: The training.
        """
        if training.accelerator.is_main_process:
            settings, network = training.settings, self.model.network
            network.eval()
            with training.averaged_weights():
                videos = self.model.sample(
                    self.prompts,
                    seed=settings.seed,
                    steps=settings.sample_steps,
                    guidance=settings.guidance,
                    shape=self.shape,
                    images=self.images,
                )
            network.train()
            folder = self.folder / f"step-{training.step:08d}"
            for number, video in enumerate(videos):
                write_video(folder / f"{number:02d}.mp4", video, self.shape.fps)
            sheet = contact_sheet_figure(videos, self.prompts)
            write_figure(sheet, folder / "sheet.png", dpi=110)
        training.accelerator.wait_for_everyone()
