"""Peak memory of one pass, each way in a process of its own.

python -m analyses.cost.probe_cost --parts memory
python -m analyses.cost.peak_memory --width 384 --way sketched        # one pass
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from analyses.cost import models
from analyses.cost.pass_times import WIDTHS
from analyses.results_file import run_script, script_parser
from tqd_probe.core.memory import PeakMemory
from tqd_probe.gradients.sketch import DEFAULT_SIZE

ROOT = Path(__file__).resolve().parents[2]
WAYS = ("plain", "sketched", "exact_norms")


def one_pass(width: int, way: str) -> int:
    """Return the peak above weights of one pass, in bytes.

    Args:
        width: Width of the network, of those in `WIDTHS`.
        way: Of those in `WAYS`.

    Returns:
        The peak.
    """
    layers, clips = WIDTHS[width]
    task = models.Task(models.wan(width, layers), clips)
    task.floor()  # buffers that stay
    action = task.plain
    if way != "plain":
        engine = task.engine(DEFAULT_SIZE, exact_norms=way == "exact_norms")
        action = task.capturing(engine)
    with PeakMemory("cpu") as memory:
        action()
    return memory.used


def study() -> dict[str, Any]:
    """Measure the peak above weights of one pass, each in a process of its own."""
    found: dict[str, Any] = {}
    for width, (layers, _) in WIDTHS.items():
        used = {}
        for way in WAYS:
            command = [sys.executable, "-m", "analyses.cost.peak_memory"]
            command += ["--width", str(width), "--way", way]
            command += ["--threads", str(torch.get_num_threads())]
            # Freed tensors go back to the system at once: what is resident is alive,
            # and not what an earlier pass left in the heap.
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                check=True,
                cwd=ROOT,
                env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"},
            )
            used[way] = int(done.stdout.split()[-1])
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
    parser.add_argument("--width", type=int, choices=WIDTHS, required=True)
    parser.add_argument("--way", choices=WAYS, required=True)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(one_pass(args.width, args.way))


if __name__ == "__main__":
    run_script(main)
