"""Peak memory of one pass, each way in a process of its own.

python -m analyses.cost.probe_cost --parts memory,checkpointing
python -m analyses.cost.peak_memory --pass '{"width": 384, "layers": 4, "clips": 2}'
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from analyses.cost import models
from analyses.cost.pass_times import WIDTHS
from analyses.results_file import run_script, script_parser
from tqd_probe.core.memory import PeakMemory
from tqd_probe.gradients.sketch import DEFAULT_SIZE

ROOT = Path(__file__).resolve().parents[2]
LONG = (9, 64, 64)  # latents of 9,216 tokens
WAYS = ("plain", "floor", "sketched", "exact_norms")


@dataclass(frozen=True)
class Pass:
    """One pass of a Wan network with random weights.

    Attributes:
        width: Width of the network.
        layers: Its blocks.
        clips: Clips in the pass.
        latent: Frames, height and width of the latents.
        way: Of those in `WAYS`.
        checkpointing: Whether gradient checkpointing is on.
    """

    width: int
    layers: int
    clips: int
    latent: tuple[int, ...] = models.LATENT[1:]
    way: str = "plain"
    checkpointing: bool = False

    def make(self) -> tuple[models.Task, Callable[[], Any]]:
        """Build the network and its clips on torch's default device.

        Returns:
            Both, and the pass.
        """
        network = models.wan(self.width, self.layers)
        if self.checkpointing:
            network.enable_gradient_checkpointing()
        task = models.Task(network, self.clips, latent=self.latent)
        if self.way in ("plain", "floor"):
            return task, getattr(task, self.way)
        engine = task.engine(DEFAULT_SIZE, exact_norms=self.way == "exact_norms")
        return task, task.capturing(engine)

    def here(self) -> int:
        """Return the peak above weights of the pass in this process, in bytes."""
        task, action = self.make()
        short = replace(self, latent=(1, 16, 16)).make()[1]
        short()  # code and buffers that stay
        del short
        with PeakMemory("cpu") as memory:
            action()
        del task
        return memory.used

    def in_fresh_process(self) -> int:
        """Return the peak above weights of the pass in a process of its own."""
        command = [sys.executable, "-m", "analyses.cost.peak_memory"]
        command += ["--pass", json.dumps(asdict(self))]
        command += ["--threads", str(torch.get_num_threads())]
        # Freed tensors go back to the system at once: what is resident is alive, and
        # not what an earlier pass left in the heap.
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"},
        )
        return int(done.stdout.split()[-1])


def checkpointing() -> dict[str, Any]:
    """Compare peaks of passes with checkpointing, with more and more blocks."""
    found: dict[str, Any] = {"width": 384, "tokens": LONG[0] * LONG[1] * LONG[2] // 4}
    for blocks in (4, 8):
        one = Pass(384, blocks, 1, LONG, checkpointing=True)
        used = {
            way: replace(one, way=way).in_fresh_process()
            for way in ("plain", "sketched")
        }
        ratio = used["sketched"] / used["plain"]
        found[str(blocks)] = {"peak_above_weights_bytes": used, "ratio": ratio}
        print(blocks, "blocks", json.dumps(found[str(blocks)]), flush=True)
    return found


def study() -> dict[str, Any]:
    """Measure the peak above weights of one pass, each in a process of its own."""
    found: dict[str, Any] = {}
    for width, (layers, clips) in WIDTHS.items():
        used = {
            way: Pass(width, layers, clips, way=way).in_fresh_process()
            for way in ("plain", "sketched", "exact_norms")
        }
        network = models.wan(width, layers)
        weights = 4 * sum(p.numel() for p in network.parameters())
        whole = {way: weights + value for way, value in used.items()}
        found[str(width)] = {
            "weights_bytes": weights,
            "peak_above_weights_bytes": used,
            "ratio": {way: value / whole["plain"] for way, value in whole.items()},
        }
        print(width, json.dumps(found[str(width)]["ratio"]), flush=True)
    return found


def main() -> None:
    """Measure one pass in this process and print its peak in bytes."""
    parser = script_parser(__file__, __doc__)
    parser.add_argument("--pass", dest="made", required=True, help="JSON of a `Pass`")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(Pass(**json.loads(args.made)).here())


if __name__ == "__main__":
    run_script(main)
