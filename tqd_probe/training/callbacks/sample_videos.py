"""Sample videos from fixed prompts and seeds, with a contact sheet."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.video import write_video
from tqd_probe.core.errors import InputError
from tqd_probe.core.text_files import read_text
from tqd_probe.models.base import VideoModel
from tqd_probe.plots.save import write_figure
from tqd_probe.plots.training_figures import contact_sheet_figure
from tqd_probe.training.callbacks.base import Callback, RunningTraining, StepResult
from tqd_probe.training.encoded_clips import CachedClips

DEFAULT_PROMPTS = 4  # captions taken where no prompts are given


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


def choose_prompts(
    prompts: Path | None, model: VideoModel, clips: CachedClips
) -> tuple[list[str], np.ndarray | None]:
    """Choose the prompts of sample videos, and the frames that they start from.

    Args:
        prompts: File of prompts; without one, captions of four clips are used.
        model: The model.
        clips: Clips that give captions and first frames, held-out ones where there
            are some.

    Returns:
        The prompts; and for image-to-video the first frames of the clips they
        describe, uint8 RGB ``[N, H, W, 3]``.

    Raises:
        InputError: If prompts are given to an image-to-video model.
    """
    if prompts is not None:
        if model.takes_images:
            raise InputError(
                f"--prompts {prompts}: image-to-video starts from a frame; leave it"
                " out, samples then start from held-out clips"
            )
        return read_prompts(prompts), None
    by_caption = {each.clip.caption: each.clip for each in reversed(clips.clips)}
    captions = list(dict.fromkeys(each.clip.caption for each in clips.clips))
    stride = max(1, math.floor(len(captions) / DEFAULT_PROMPTS))
    chosen = captions[::stride][:DEFAULT_PROMPTS]
    if not model.takes_images:
        return chosen, None
    videos = [by_caption[caption].read(clips.encoder.shape) for caption in chosen]
    return chosen, np.stack([video[0] for video in videos])


def read_prompts(path: Path) -> list[str]:
    """Read prompts, one a line.

    Args:
        path: A text file.

    Returns:
        The prompts.

    Raises:
        InputError: If the file is missing, unreadable or empty.
    """
    try:
        lines = read_text(path).splitlines()
    except OSError as error:
        raise InputError(
            f"--prompts {path}: cannot be read ({error.strerror}); give a text file"
        ) from error
    prompts = [line.strip() for line in lines if line.strip()]
    if not prompts:
        raise InputError(f"--prompts {path}: is empty; write one prompt a line")
    return prompts
