"""Metrics of a run: losses by level and class, density so far, times, memory.

``metrics.jsonl`` has what depends on the configuration alone: a resumed run writes the
bytes that an uninterrupted one would. ``timing.jsonl`` has what depends on the machine.
Both also go to the tracker (TensorBoard, trackio, W&B) through accelerate.
"""

from __future__ import annotations

import hashlib
import resource
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from tqd_probe.core.clip_classes import golden_first
from tqd_probe.core.jsonl import JsonlWriter
from tqd_probe.sampling.level_buckets import BUCKETS, bucket_index
from tqd_probe.training.callbacks.base import Callback, RunningTraining, StepResult


class Metrics(Callback):
    """Writes metrics and times, moves the progress bar."""

    name = "telemetry"  # in checkpoints

    def __init__(self, out: Path, classes: list[str], quiet: bool = False) -> None:
        """Name the files and start all counts at zero.

        Args:
            out: The run directory.
            classes: Class of every training clip.
            quiet: Show no progress bar.
        """
        self.classes = np.array(classes, dtype=object)
        self.metrics = JsonlWriter(out / "metrics.jsonl")
        self.timing = JsonlWriter(out / "timing.jsonl")
        self.draws = JsonlWriter(out / "draws.jsonl")
        self.names = golden_first(classes)
        self.counts = {name: [0] * BUCKETS for name in self.names}
        # since the last report: sums of losses, and how many
        self.sums = {name: [0.0] * BUCKETS for name in self.names}
        self.seen = {name: [0] * BUCKETS for name in self.names}
        self._times: list[tuple[float, float]] = []
        self._quiet = quiet
        self._bar: Any = None

    def on_train_begin(self, training: RunningTraining) -> None:
        """Cut files to the step resumed at; open the progress bar."""
        if not training.accelerator.is_main_process:
            return
        for rows in (self.metrics, self.timing, self.draws):
            rows.drop_after(training.step)
        self._bar = tqdm(
            total=training.settings.steps,
            initial=training.step,
            desc="train",
            unit="step",
            disable=self._quiet,
            smoothing=0.05,
        )

    def on_step_end(self, training: RunningTraining, result: StepResult) -> None:
        """Report a step."""
        if not training.accelerator.is_main_process:
            return
        settings = training.settings
        first = (result.step - 1) * settings.batch_size
        losses = result.losses.tolist()
        draws = [training.batches.draws.draw(first + i) for i in range(len(losses))]
        buckets = bucket_index(np.array([draw.sigma for draw in draws])).tolist()
        for draw, bucket, loss in zip(draws, buckets, losses):
            name = self.classes[draw.clip]
            self.counts[name][bucket] += 1
            self.seen[name][bucket] += 1
            self.sums[name][bucket] += loss
            if settings.record_draws:
                self._record(training, draw.index, loss)
        row: dict[str, Any] = {
            "step": result.step,
            "loss": float(np.mean(losses)),
            "grad_norm": result.grad_norm,
            "lr": result.lr,
        }
        self._times.append((result.seconds, result.wait))
        if result.step % settings.log_every == 0 or result.step == settings.steps:
            row |= self._window()
            self._time_row(training, row)
        self.metrics.write(row)
        self._bar.update()
        self._bar.set_postfix_str(f"loss {row['loss']:.4f}", refresh=False)

    def on_train_end(self, training: RunningTraining) -> None:
        """Close the files and the bar."""
        for rows in (self.metrics, self.timing, self.draws):
            rows.close()
        if self._bar is not None:
            self._bar.close()

    def state_dict(self) -> dict[str, Any]:
        """Return counts and the losses since the last report."""
        return {"counts": self.counts, "sums": self.sums, "seen": self.seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from saved counts and losses."""
        self.counts, self.sums = state["counts"], state["sums"]
        self.seen = state["seen"]

    def _window(self) -> dict[str, Any]:
        """Average the losses since the last report; add the density so far."""
        sums = np.array([self.sums[name] for name in self.names])
        seen = np.array([self.seen[name] for name in self.names])
        report = {
            "loss_by_bucket": _means(sums.sum(0), seen.sum(0)),
            "loss_by_class": dict(zip(self.names, _means(sums.sum(1), seen.sum(1)))),
            "loss_by_class_and_bucket": {
                name: _means(sums[i], seen[i]) for i, name in enumerate(self.names)
            },
            "density": {name: list(self.counts[name]) for name in self.names},
        }
        for name in self.names:
            self.sums[name], self.seen[name] = [0.0] * BUCKETS, [0] * BUCKETS
        return report

    def _time_row(self, training: RunningTraining, row: dict[str, Any]) -> None:
        """Write times and memory; send everything to the tracker."""
        seconds = sum(spent for spent, _ in self._times)
        count = len(self._times)
        timing = {
            "step": row["step"],
            "seconds_per_step": seconds / count,
            "clips_per_second": count * training.settings.batch_size / seconds,
            "data_wait_share": sum(wait for _, wait in self._times) / seconds,
            "memory_gb": memory_gb(training.accelerator.device),
            "processes": training.accelerator.num_processes,
        }
        self._times = []
        self.timing.write(timing)
        curves = {f"train/{k}": row[k] for k in ("loss", "grad_norm", "lr")}
        for bucket, loss in enumerate(row["loss_by_bucket"]):
            if loss is not None:
                curves[f"loss_by_sigma/{bucket / BUCKETS:.1f}"] = loss
        for name, loss in row["loss_by_class"].items():
            if loss is not None:
                curves[f"loss_by_class/{name}"] = loss
        curves |= {f"time/{k}": v for k, v in timing.items() if k != "step"}
        training.accelerator.log(curves, step=row["step"])

    def _record(self, training: RunningTraining, index: int, loss: float) -> None:
        """Write one sample as the network saw it."""
        batch = training.batches.samples(range(index, index + 1))
        noise = batch.eps.numpy().tobytes()
        self.draws.write(
            {
                "step": index // training.settings.batch_size + 1,
                "sample": index,
                "clip": training.batches.clips.clips[batch.draws[0].clip].clip.id,
                "sigma": batch.draws[0].sigma,
                "text_dropped": training.batches.drops_caption(index),
                "noise": hashlib.sha256(noise).hexdigest()[:16],
                "loss": loss,
            }
        )


def _means(sums: np.ndarray, counts: np.ndarray) -> list[float | None]:
    """Divide, with None where nothing was counted."""
    return [float(s / n) if n else None for s, n in zip(sums, counts)]


def memory_gb(device: torch.device) -> float:
    """Return the most memory used so far.

    Args:
        device: The network's device.

    Returns:
        Peak memory of the GPU, or of the process on a CPU, in GB.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
