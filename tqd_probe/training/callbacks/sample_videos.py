"""Sample videos from fixed prompts and seeds, with a contact sheet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.video import write_video
from tqd_probe.core.errors import InputError
from tqd_probe.core.files import staged
from tqd_probe.models.base import VideoModel
from tqd_probe.training.callbacks.base import StepResult, due

if TYPE_CHECKING:
    from tqd_probe.training.trainer import Trainer

COLUMNS = 6


def read_prompts(path: Path) -> list[str]:
    """Read prompts, one a line.

    Args:
        path: A UTF-8 text file.

    Returns:
        The prompts.

    Raises:
        InputError: If the file is missing, unreadable or empty.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"--prompts {path}: cannot be read ({error}); give a UTF-8 text file"
        ) from error
    prompts = [line.strip() for line in lines if line.strip()]
    if not prompts:
        raise InputError(f"--prompts {path}: is empty; write one prompt a line")
    return prompts


class Samples:
    """Generates the same prompts from the same noise every so many steps."""

    name = "samples"

    def __init__(
        self,
        model: VideoModel,
        shape: ClipShape,
        prompts: list[str],
        images: np.ndarray | None,
        folder: Path,
    ) -> None:
        """Set what is generated.

        Args:
            model: The model in training.
            shape: Shape of the videos.
            prompts: The prompts.
            images: First frames, one per prompt, for image-to-video.
            folder: Where videos and sheets go.
        """
        self.model, self.shape = model, shape
        self.prompts, self.images, self.folder = prompts, images, folder

    def begin(self, trainer: Trainer) -> None:
        """Generate with the weights training starts from."""
        if trainer.step == 0:
            self.generate(trainer)

    def after(self, trainer: Trainer, result: StepResult) -> None:
        """Generate if it is time to."""
        if due(result.step, trainer.settings.sample_every, trainer.settings.steps):
            self.generate(trainer)

    def generate(self, trainer: Trainer) -> None:
        """Write videos and a contact sheet of the present (averaged) weights.

        Args:
            trainer: The training.
        """
        if trainer.accelerator.is_main_process:
            settings, network = trainer.settings, self.model.network
            network.eval()
            with trainer.averaged():
                videos = self.model.sample(
                    self.prompts,
                    seed=settings.seed,
                    steps=settings.sample_steps,
                    guidance=settings.guidance,
                    shape=self.shape,
                    images=self.images,
                )
            network.train()
            place = self.folder / f"step-{trainer.step:08d}"
            for number, video in enumerate(videos):
                write_video(place / f"{number:02d}.mp4", video, self.shape.fps)
            contact_sheet(videos, self.prompts, place / "sheet.png")
        trainer.accelerator.wait_for_everyone()

    def state(self) -> dict[str, Any]:
        """Nothing is carried from one time to the next."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing to take up."""


def contact_sheet(videos: np.ndarray, prompts: list[str], path: Path) -> None:
    """Draw a row of frames for each video.

    Args:
        videos: uint8 RGB ``[N, T, H, W, 3]``.
        prompts: One per video.
        path: The PNG file.
    """
    frames = np.linspace(0, videos.shape[1] - 1, min(COLUMNS, videos.shape[1]))
    rows, columns = len(videos), len(frames)
    ratio = videos.shape[2] / videos.shape[3]
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(1.6 * columns, (1.6 * ratio + 0.3) * rows),
        squeeze=False,
    )
    for row in range(rows):
        for column, frame in enumerate(frames.round().astype(int)):
            axes[row, column].imshow(videos[row, frame])
            axes[row, column].axis("off")
        title = prompts[row] if len(prompts[row]) < 90 else prompts[row][:87] + "..."
        axes[row, 0].set_title(title, fontsize=7, loc="left")
    with staged(path) as part:
        figure.savefig(part, dpi=110, format="png", bbox_inches="tight")
    plt.close(figure)
