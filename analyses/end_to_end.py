"""Train `tiny` on an imbalanced set with every sampler, LoRA and full, and compare.

The commands of the README, one after the other: each run is killed once half way
(SIGTERM) and resumed, validates on held-out golden and degraded clips, and samples a
video at its end. One seed: the figures show that everything works, and no more; which
sampler helps is for `tqd_probe.verify` to say.

    python analyses/make_imbalanced.py --out /tmp/imbalanced
    python analyses/make_imbalanced.py --out /tmp/held_out --seed 900 --golden 12 \
        --visual 4 --motion 4
    python -m tqd_probe.gradsim --ckpt tiny --criterion mixture \
        --pool golden=16,visual_degraded=48,motion_degraded=48 --out runs/tiny
    python analyses/end_to_end.py --schedule runs/tiny/bands.json
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from tqd_probe import train
from tqd_probe.files import write_json
from tqd_probe.schedule import BandSchedule
from tqd_probe.training.lines import read_lines
from tqd_probe.training.trainer import Trainer

RESULTS = Path(__file__).parent / "results" / "end_to_end.json"


PROMPTS = (
    "a red striped circle moving right over a gray textured background",
    "a blue plain square moving up over a brown textured background",
)


def stopped_at(step: int) -> Any:
    """Let the process get SIGTERM at a step, once."""
    original = Trainer._one_step

    def stepped(self: Trainer, batches: Any) -> Any:
        if self.step == step - 1:
            os.kill(os.getpid(), signal.SIGTERM)
            Trainer._one_step = original
        return original(self, batches)

    Trainer._one_step = stepped


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedule", type=Path, required=True)
    parser.add_argument("--clips", default="/tmp/imbalanced/clips.csv")
    parser.add_argument("--validation", default="/tmp/held_out/clips.csv")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--work", type=Path, default=Path("runs/end_to_end"))
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--only", default="", help="part of a run's name: lora-bands")
    args = parser.parse_args()
    has_mixture = BandSchedule.load(args.schedule).mixture is not None
    samplers = ["uniform", "logit_normal", "beta", "bands"]
    samplers += ["mixture"] if has_mixture else []
    rows: list[dict[str, Any]] = []
    for kind in ("lora", "full"):
        for sampler in samplers:
            name = f"{kind}-{sampler}"
            if args.only and args.only not in name:
                continue
            out = args.work / name
            prompts = args.work / "prompts.txt"
            prompts.parent.mkdir(parents=True, exist_ok=True)
            prompts.write_text("\n".join(PROMPTS))
            argv = [
                *("--ckpt", "tiny", "--clips", args.clips, "--sampler", sampler),
                *("--steps", str(args.steps), "--validation", args.validation),
                *("--validate-every", str(args.steps // 2), "--sample-every"),
                *(str(args.steps), "--save-every", str(args.steps // 2)),
                *("--prompts", str(prompts), "--batch-size", str(args.batch_size)),
                *("--warmup", str(args.steps // 10)),
                *("--ema-decay", "0.98", "--device", "cpu", "--out", str(out)),
                *("--micro-batch", str(args.batch_size)),
            ]
            if sampler in ("beta", "bands", "mixture"):
                argv += ["--schedule", str(args.schedule)]
            argv += ["--full", "--lr", "1e-4"] if kind == "full" else ["--lr", "1e-3"]
            began = time.perf_counter()
            if not (out / "result").exists():
                stopped_at(args.steps // 2 + 7)
                assert train.main([*argv, "--resume"]) == 143
                assert train.main([*argv, "--resume"]) == 0
            last = read_lines(out / "validation.jsonl")[-1]
            density = json.loads((out / "density.json").read_text())
            rows.append(
                {
                    "weights": kind,
                    "sampler": sampler,
                    "steps": args.steps,
                    "seconds": time.perf_counter() - began,
                    "sigma_edges": last["sigma_edges"],
                    "classes": last["classes"],
                    "density": density["counts"],
                }
            )
            write_json(args.results, {"schedule": args.schedule.name, "runs": rows})


if __name__ == "__main__":
    main()
