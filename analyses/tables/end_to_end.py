"""Train `tiny` on an imbalanced set with every sampler, LoRA and full, and compare.

The commands of the README, one after the other: each run is stopped once past half way
(SIGTERM) and resumed, validates on held-out golden and degraded clips, and samples two
videos at its end. One seed: the figures show that everything works, and no more; which
sampler helps is for `tqd_probe.verify` to say. Runs that are done are not run again, so
that the same command goes on after it was stopped.

    python -m analyses.tables.make_imbalanced --out /tmp/imbalanced
    python -m analyses.tables.make_imbalanced --out /tmp/held_out --seed 900 \
        --golden 12 --visual 4 --motion 4
    python -m tqd_probe.gradsim --ckpt tiny --metric raw --criterion mixture \
        --pool golden=16,visual_degraded=48,motion_degraded=48 --out runs/tiny
    python -m analyses.tables.end_to_end --schedule runs/tiny/bands.json
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from analyses.results_file import run_script, study_parser, write_results
from tqd_probe import train
from tqd_probe.core.jsonl import read_jsonl
from tqd_probe.core.library_logging import silence_libraries
from tqd_probe.schedules.band_schedule import BandSchedule
from tqd_probe.training.callbacks.base import Callback

PROMPTS = (
    "a red striped circle moving right over a gray textured background",
    "a blue plain square moving up over a brown textured background",
)
RATES = {"lora": 1e-3, "full": 1e-4}


class StopAt(Callback):
    """The process gets SIGTERM after a step."""

    name = "stop"

    def __init__(self, step: int) -> None:
        """Set the step."""
        self.step, self.fired = step, False

    def on_step_end(self, trainer: Any, result: Any) -> None:
        """Send the signal."""
        if result.step == self.step:
            self.fired = True
            os.kill(os.getpid(), signal.SIGTERM)


def train_with_a_stop(options: dict[str, Any], stop: int) -> list[int]:
    """Train to the end, through one stop of our own.

    Args:
        options: Options of the training.
        stop: Step after which it is stopped, if it has not been there yet.

    Returns:
        The steps at which it was stopped.
    """
    stopper = StopAt(stop)
    stops = []
    while True:
        done = train(**options, callbacks=[stopper])
        if not done.stopped_by:
            return stops
        if not stopper.fired:  # somebody else's signal: end, resumable
            print(f"stopped at step {done.step}; the same command goes on")
            sys.exit(128 + done.stopped_by)
        stops.append(done.step)
        stopper.fired = False


def main() -> None:
    """Train with every sampler, LoRA and full; write what validation found."""
    parser = study_parser(__file__, __doc__)
    parser.add_argument("--schedule", type=Path, required=True)
    parser.add_argument("--clips", default="/tmp/imbalanced/clips.csv")
    parser.add_argument("--validation", default="/tmp/held_out/clips.csv")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--work", type=Path, default=Path("runs/end_to_end"))
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--only", default="", help="part of a run's name: lora-bands")
    args = parser.parse_args()
    silence_libraries()
    samplers = ["uniform", "logit_normal", "beta", "bands"]
    if BandSchedule.load(args.schedule).mixture is not None:
        samplers.append("mixture")
    args.work.mkdir(parents=True, exist_ok=True)
    prompts = args.work / "prompts.txt"
    prompts.write_text("\n".join(PROMPTS))
    rows: list[dict[str, Any]] = []
    for kind in ("lora", "full"):
        for sampler in samplers:
            name = f"{kind}-{sampler}"
            if args.only not in name:
                continue
            out = args.work / name
            measured = sampler in ("beta", "bands", "mixture")
            options = {
                "ckpt": "tiny",
                "clips": args.clips,
                "sampler": sampler,
                "schedule": args.schedule if measured else None,
                "full": kind == "full",
                "lr": RATES[kind],
                "ema_decay": 0.98,
                "steps": args.steps,
                "warmup": args.steps // 10,
                "batch_size": args.batch_size,
                "micro_batch": args.batch_size,
                "validation": args.validation,
                "validate_every": args.steps // 2,
                "sample_every": args.steps,
                "prompts": prompts,
                "sample_steps": 20,
                "save_every": args.steps // 2,
                "device": "cpu",
                "out": out,
            }
            began = time.perf_counter()
            stops = train_with_a_stop(options, args.steps // 2 + 7)
            last = read_jsonl(out / "validation.jsonl")[-1]
            density = json.loads((out / "density.json").read_text())
            rows.append(
                {
                    "weights": kind,
                    "sampler": sampler,
                    "steps": args.steps,
                    "batch_size": args.batch_size,
                    "stopped_and_resumed_at": stops,
                    "seconds": time.perf_counter() - began,
                    "sigma_edges": last["sigma_edges"],
                    "classes": last["classes"],
                    "density": density["counts"],
                    "videos": len(list(out.glob(f"samples/*{args.steps}/*.mp4"))),
                }
            )
            found = {"schedule": args.schedule.name, "runs": rows}
            write_results(parser, args, found)


if __name__ == "__main__":
    run_script(main)
