"""What the trainer costs over a plain loop: ratios of step times, in one run.

The same network, batch, optimiser and clips three ways, in turns of a few steps each:
`tqd_probe.train` with the mixture sampler and all its reports; a loop of ten lines with
uniform levels, its latents in memory; the same loop in `transformers.Trainer`. Wall
time and, for machines on which others work, CPU time of the process.

    chrt -r 1 taskset -c 1 python -m analyses.cost.train_cost
"""

from __future__ import annotations

import copy
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import binom
from transformers import Trainer as HubTrainer
from transformers import TrainerCallback, TrainingArguments

from analyses.results_file import run_script, study_parser, write_results
from tqd_probe.core.jsonl import read_jsonl
from tqd_probe.core.library_logging import silence_libraries
from tqd_probe.models.base import Conditioned, collate, per_clip_loss
from tqd_probe.models.load import load_model
from tqd_probe.schedules.band_schedule import BandSchedule
from tqd_probe.training.callbacks.base import Callback
from tqd_probe.training.optimisation import make_optimiser
from tqd_probe.training.settings import TrainRunSettings
from tqd_probe.training.train import train

LOOPS = ("ours", "plain", "hub")


def clock() -> np.ndarray:
    """Return seconds of wall time and of CPU time."""
    return np.array([time.perf_counter(), time.process_time()])


def mixture_schedule(path: Path) -> Path:
    """Write a schedule with a mixture for golden clips alone on `tiny`."""
    levels = [0.1, 0.5, 0.9]
    value: dict[str, Any] = {
        "format": "tqd-band-schedule",
        "version": 1,
        "provenance": {"tool_version": "0", "argv": ["train_cost"], "seed": 0},
        "model": {
            "family": "wan",
            "source": "tiny",
            "fingerprint": load_model("tiny").fingerprint,
            "expert": None,
            "parameters": "all",
            "prediction": "flow_velocity",
        },
        "noise": {
            "axis": "sigma",
            "shift": 1.0,
            "levels": levels,
            "logsnr": [4, 0, -4],
        },
        "criterion": {
            "name": "mixture",
            "cos_min": 0.9,
            "norm_range": [0.5, 2.0],
            "confidence": 0.95,
        },
        "golden": {
            "clips": 24,
            "draws": 2,
            "snr": [1, 1, 1],
            "resolved": [True] * 3,
        },
        "classes": {},
        "mixture": {
            "classes": ["golden"],
            "pool": {"golden": 64},
            "weights": [[1.0]] * 3,
        },
    }
    BandSchedule.model_validate(value).save(path)
    return path


class Turns(Callback):
    """After every few steps of the trainer, the other loops get their turn."""

    name = "turns"

    def __init__(self, settings: TrainRunSettings, length: int) -> None:
        """Set the length of a turn in steps."""
        self.settings, self.length = settings, length
        self.seconds: dict[str, list[np.ndarray]] = {name: [] for name in LOOPS}
        self.began = np.zeros(2)

    def on_train_begin(self, trainer: Any) -> None:
        """Copy the network for the other loops."""
        pool = trainer.batches.clips
        clips = collate([pool.get(row) for row in range(len(pool.clips))])
        self.latents = clips.latents
        self.text = clips.conditioning
        self.models = {}
        for name in ("plain", "hub"):
            network = copy.deepcopy(trainer.loss.network)
            model = trainer.loss.model.bound_to(network)
            parameters = [p for p in network.parameters() if p.requires_grad]
            self.models[name] = (model, make_optimiser(parameters, self.settings))
        self.began = clock()

    def on_step_end(self, trainer: Any, result: Any) -> None:
        """Time a turn of each."""
        if result.step % self.length:
            return
        self.seconds["ours"].append((clock() - self.began) / self.length)
        self.seconds["plain"].append(self.plain())
        self.seconds["hub"].append(self.hub())
        self.began = clock()

    def loss(self, model: Any) -> torch.Tensor:
        """Draw a batch at uniform levels and return its mean loss."""
        rows = torch.randint(len(self.latents), (self.settings.batch_size,))
        text = {name: value[rows] for name, value in self.text.items()}
        batch = Conditioned(self.latents[rows], text)
        eps = torch.randn_like(batch.latents)
        sigma = torch.rand(len(rows))
        return per_clip_loss(model, batch, eps, sigma).mean()

    def plain(self) -> np.ndarray:
        """A loop as one would write it by hand."""
        model, optimiser = self.models["plain"]
        parameters = [p for p in model.network.parameters() if p.requires_grad]
        began = clock()
        for _ in range(self.length):
            loss = self.loss(model)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            optimiser.zero_grad()
            loss.item()
        return (clock() - began) / self.length

    def hub(self) -> np.ndarray:
        """The same loop in `transformers.Trainer`, without its start and end."""
        model, optimiser = self.models["hub"]
        turns, ends = self, list[np.ndarray]()

        class Clock(TrainerCallback):
            def on_step_end(self, *args: Any, **more: Any) -> None:
                ends.append(clock())

        class Loop(HubTrainer):
            def compute_loss(
                self, model_: Any, inputs: Any, *args: Any, **more: Any
            ) -> Any:
                return turns.loss(model)

        with tempfile.TemporaryDirectory() as folder:
            arguments = TrainingArguments(
                folder,
                max_steps=self.length + 1,
                per_device_train_batch_size=self.settings.batch_size,
                max_grad_norm=1.0,
                logging_steps=10,
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                use_cpu=True,
                remove_unused_columns=False,
                lr_scheduler_type="constant",
            )
            data = [{"row": row} for row in range(self.settings.batch_size * 200)]
            Loop(
                model.network,
                arguments,
                train_dataset=data,
                data_collator=lambda rows: {
                    "row": torch.tensor([r["row"] for r in rows])
                },
                optimizers=(optimiser, None),
                callbacks=[Clock()],
            ).train()
        return (ends[-1] - ends[0]) / (len(ends) - 1)


def median_interval(values: np.ndarray) -> list[float]:
    """Return the low end of a 95 % interval of the median, the median, the high end.

    Args:
        values: Ratios, one per turn.

    Returns:
        Order statistics: half of all turns lie below the median, so that the number
        below it is binomial.
    """
    ordered = np.sort(values)
    rank = max(1, int(binom.ppf(0.025, len(values), 0.5)))
    ends = ordered[rank - 1], np.median(values), ordered[-rank]
    return [float(end) for end in ends]


def main() -> None:
    """Time the trainer and both loops in turns."""
    parser = study_parser(__file__, __doc__)
    parser.add_argument("--turns", type=int, default=61)
    parser.add_argument("--length", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=8)
    args = parser.parse_args()
    silence_libraries()
    rows: dict[str, Any] = {}
    load = os.getloadavg()[0]
    for kind, full in (("full", True), ("lora", False)):
        with tempfile.TemporaryDirectory() as folder:
            steps = args.turns * args.length
            settings = TrainRunSettings(
                ckpt="tiny",
                clips="synthetic:64",
                sampler="mixture",
                schedule=mixture_schedule(Path(folder) / "bands.json"),
                steps=steps,
                warmup=2,
                batch_size=args.batch_size,
                micro_batch=args.batch_size,
                lr=1e-6,
                full=full,
                save_every=steps,
                report_to="tensorboard",
                device="cpu",
                out=Path(folder) / "run",
            )
            turns = Turns(settings, args.length)
            train(settings, callbacks=[turns], quiet=True)
            waits = [
                r["data_wait_share"] for r in read_jsonl(settings.out / "timing.jsonl")
            ]
        # The first turn of each warms up.
        seconds = {name: np.array(v[1:]) for name, v in turns.seconds.items()}
        rows[kind] = {
            "turns": len(seconds["ours"]),
            "steps_per_turn": args.length,
            "batch_size": args.batch_size,
            "data_wait_share": float(np.median(waits[1:] or waits)),
        }
        for column, time_of in enumerate(("wall", "cpu")):
            each = {name: values[:, column] for name, values in seconds.items()}
            found: dict[str, Any] = {
                "seconds_per_step": {n: float(np.median(v)) for n, v in each.items()}
            }
            for other in LOOPS[1:]:
                ratios = each["ours"] / each[other]
                found[f"ours_over_{other}"] = median_interval(ratios)
            rows[kind][time_of] = found
        print(kind, rows[kind], flush=True)
    found = {"torch_threads": torch.get_num_threads(), "cores": os.cpu_count()}
    found |= {"load_average_at_start": load, "runs": rows}
    write_results(parser, args, found)


if __name__ == "__main__":
    run_script(main)
