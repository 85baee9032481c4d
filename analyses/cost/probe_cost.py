"""What a clip-gradient costs, beside a plain forward and backward, and beside peers.

    python -m analyses.cost.probe_cost --parts work,widths,tiny,memory,growth
    python -m analyses.cost.probe_cost --parts checkpointing
    python -m analyses.cost.probe_cost --parts checkpointing
    python -m analyses.cost.probe_cost --parts peers --peers-python PYTHON
    python -m figures.probe_cost

PYTHON belongs to an environment with the peers (analyses/cost/README.md). Everything is
a ratio of repetitions taken in turn in one process; the results keep one entry per
part, with the machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch

from analyses.cost import (
    growth,
    matrix_products,
    pass_times,
    passes_needed,
    peak_memory,
    sketch_error,
)
from analyses.results_file import machine, run_script, study_parser, versions
from tqd_probe.core.files import read_json, write_json

ROOT = Path(__file__).resolve().parents[2]


def parts_of(repetitions: int) -> dict[str, Callable[[], dict[str, Any]]]:
    """Return the parts of the study by name, peers aside.

    Args:
        repetitions: Turns of everything that is timed.

    Returns:
        What each part runs.
    """
    return {
        "work": matrix_products.study,
        "widths": lambda: pass_times.widths(repetitions),
        "tiny": lambda: pass_times.tiny(repetitions),
        "memory": peak_memory.study,
        "checkpointing": peak_memory.checkpointing,
        "growth": growth.study,
        "error": sketch_error.study,
        "passes": passes_needed.study,
    }


def beside_peers(
    repetitions: int, python: str, only: str, limit: int
) -> dict[str, Any]:
    """Run the peers, each in a process of its own, each beside us."""
    script = [python, "-m", "analyses.cost.peers"]
    listed = subprocess.run(
        [*script, "--list"], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.split()
    found: dict[str, Any] = {}
    for name in only.split(",") if only else listed:
        command = [*script, "--peer", name, "--repeat", str(repetitions)]
        command += ["--threads", str(torch.get_num_threads())]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=limit, cwd=ROOT
            )
            lines = done.stdout.strip().splitlines()
            found[name] = (
                json.loads(lines[-1])
                if done.returncode == 0 and lines
                else {"failed": (done.stderr.strip().splitlines() or ["?"])[-1][:300]}
            )
        except subprocess.TimeoutExpired:
            found[name] = {"failed": f"not done after {limit} s"}
        print(name, json.dumps(found[name]), flush=True)
    return found


def main() -> None:
    """Run the parts asked for; the others keep their results."""
    parser = study_parser(__file__, __doc__)
    every = [*parts_of(1), "peers"]
    parser.add_argument("--parts", default=",".join(every))
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peers-python", default=sys.executable)
    parser.add_argument("--only-peers", default="", help="names; others are kept")
    parser.add_argument("--peer-limit", type=int, default=420, help="seconds for each")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    parts = parts_of(args.repeat)
    for part in args.parts.split(","):
        if part == "peers":
            value = beside_peers(
                args.repeat, args.peers_python, args.only_peers, args.peer_limit
            )
        else:
            value = parts[part]()
        results = {}
        if args.results.exists():
            results = read_json(args.results, "results of this script")
        if part == "peers" and args.only_peers:
            value = {**results.get(part, {}), **value}
        results[part] = {"machine": machine() | versions(), **value}
        write_json(args.results, results)


if __name__ == "__main__":
    run_script(main)
