"""What decides which clips a trainer draws and a preview does not compute, by name.

Data sets that join or leave during a run of SimpleTuner, and clips that trainers leave
out: the lengths of videos are not read. Rules by the sources, read 2026-08.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqd_probe.exporting.configuration_files import Options, get_number

USUAL_FRAMES = 125  # SimpleTuner's `video.num_frames`


@dataclass(frozen=True)
class Activity:
    """When SimpleTuner draws of a data set (`data_backend/runtime/schedule.py`).

    Attributes:
        start_epoch: First epoch, from 1.
        start_step: First step.
        end_epoch: Last epoch; None for the last of the run.
        end_step: Last step; None for the last of the run.
    """

    start_epoch: int = 1
    start_step: int = 0
    end_epoch: int | None = None
    end_step: int | None = None

    @staticmethod
    def of(backend: Options, path: Path) -> Activity:
        """Read it from the settings of a data set.

        Args:
            backend: The settings; ends below 1 are none, as in the trainer.
            path: The file of the run, for messages.

        Returns:
            The activity.

        Raises:
            InputError: If a value is no number.
        """
        start, first, end, last = (
            int(get_number(backend, name, 0.0, path))
            for name in ("start_epoch", "start_step", "end_epoch", "end_step")
        )
        return Activity(
            start_epoch=max(start, 1),
            start_step=max(first, 0),
            end_epoch=end if end >= 1 else None,
            end_step=last if last >= 1 else None,
        )

    @property
    def has_steps(self) -> bool:
        """Whether steps decide it, whose epochs depend on the other data sets."""
        return self.start_step > 1 or self.end_step is not None

    def epochs(self, total: int) -> int:
        """Return in how many epochs of a run it is drawn of, steps left aside."""
        end = total if self.end_epoch is None else min(self.end_epoch, total)
        return max(0, end - self.start_epoch + 1)

    def text(self) -> str:
        """Return the epochs in words; empty for all of them."""
        if self.end_epoch is not None:
            return f"epochs {self.start_epoch}-{self.end_epoch}"
        return f"from epoch {self.start_epoch}" if self.start_epoch > 1 else ""


def epoch_share(activity: Activity, epochs: int | None, steps: int | None) -> float:
    """Return the share of a run's epochs in which a data set is drawn of.

    Args:
        activity: When it is.
        epochs: Epochs that end the run.
        steps: Steps that end the run.

    Returns:
        The share; 1 where it is not modelled: steps decide, or end the run.
    """
    if activity.has_steps or steps is not None or not epochs:
        return 1.0
    return activity.epochs(epochs) / epochs


def activity_texts(
    backends: Sequence[Options], epochs: int | None, steps: int | None, path: Path
) -> tuple[list[str], list[str]]:
    """Name data sets that never join, and those whose time is not modelled.

    Args:
        backends: Settings of the data sets of SimpleTuner.
        epochs: Epochs that end the run.
        steps: Steps that end the run.
        path: The file of the run, for messages.

    Returns:
        Traps, and what is not modelled.
    """
    traps, unknown = [], []
    found = [(str(e.get("id", "a data set")), Activity.of(e, path)) for e in backends]
    if not any(each.start_epoch <= 1 and each.start_step <= 1 for _, each in found):
        traps.append(
            "start_epoch, start_step: no data set is drawn of from the start, and the"
            " trainer refuses that; give one of them start_epoch 1 and start_step 0"
        )
    for name, each in found:
        late = epochs is not None and not each.epochs(epochs)
        if late or (steps is not None and each.start_step > steps):
            traps.append(
                f"{name}: is never drawn of: its start_epoch {each.start_epoch} and"
                f" start_step {each.start_step} are beyond the run; lower them"
            )
        elif each.has_steps or (each.text() and (steps is not None or not epochs)):
            unknown.append(
                f"{name}: start_epoch, start_step, end_epoch, end_step; its share is"
                " that of a run in which it is drawn of from start to end"
            )
    return traps, unknown


def simpletuner_left_out(backends: Sequence[Options], path: Path) -> list[str]:
    """Name the videos that SimpleTuner leaves out (`DATALOADER.md`).

    Args:
        backends: Settings of the data sets.
        path: The file of the run, for messages.

    Returns:
        One sentence for each least number of frames; none for images.
    """
    least: dict[int, list[str]] = {}
    for each in backends:
        if each.get("dataset_type") != "video":
            continue
        video = each.get("video")
        video = video if isinstance(video, dict) else {}
        frames = get_number(video, "num_frames", USUAL_FRAMES, path)
        fewest = int(get_number(video, "min_frames", frames, path))
        least.setdefault(fewest, []).append(str(each.get("id", "a data set")))
    return [
        f"videos of {', '.join(names)} with fewer than {frames} frames"
        " (video.min_frames) are left out of training, and counted here"
        for frames, names in least.items()
    ]


def diffusion_pipe_left_out(data: Options, entries: Sequence[Options]) -> list[str]:
    """Name the clips that diffusion-pipe leaves out (`utils/dataset.py`).

    Args:
        data: The file of the data sets.
        entries: The data sets.

    Returns:
        One sentence for each least number of frames.
    """
    found = []
    for each in entries:
        buckets = each.get("frame_buckets", data.get("frame_buckets"))
        longer = [b for b in buckets or [] if isinstance(b, int) and b > 1]
        skipped = each.get("skip_empty_caption", data.get("skip_empty_caption", True))
        short = (
            f"videos shorter than {min(longer)} frames at the model's rate"
            if longer
            else "videos (frame_buckets holds that of images alone)"
        )
        words = f"{short}{' and clips without a caption' if skipped else ''}"
        found.append(f"{words} are left out of training, and counted here")
    return list(dict.fromkeys(found))


def musubi_left_out(entries: Sequence[Options]) -> list[str]:
    """Name the videos of which musubi-tuner makes fewer items.

    Args:
        entries: The data sets.

    Returns:
        One sentence for each list of lengths.
    """
    targets = [each.get("target_frames") for each in entries]
    lists = [str(each) for each in targets if isinstance(each, list)]
    return [
        f"a video shorter than one of target_frames {each} gives no item of that length"
        for each in dict.fromkeys(lists)
    ]
