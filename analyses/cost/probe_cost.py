"""What a clip-gradient costs, beside a plain forward and backward, and beside peers.

python -m analyses.cost.probe_cost [--parts work,widths,rest,tiny,memory,growth,peers,...]
    [--peers-python PYTHON]     an environment with the peers (analyses/README.md)

Everything is a ratio of repetitions taken in turn in one process; `analyses/results/
probe_cost.json` keeps one entry per part, with the machine. `figures/probe_cost.py`
draws it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch

from analyses.cost import models
from analyses.results_file import run_script, study_parser
from tqd_probe.gradients.sketch import DEFAULT_SIZE

RESULTS = Path(__file__).parent / "results" / "probe_cost.json"
WIDTHS = {384: (4, 2), 768: (4, 2), 1536: (2, 2)}  # width: blocks, clips
COUNTED = {  # width, blocks, feed-forward, text width, latents [F, h, w]
    "384": (384, 4, 2240, 512, (4, 32, 32)),
    "768": (768, 2, 4480, 512, (4, 32, 32)),
    "1536": (1536, 1, 8960, 512, (4, 32, 32)),
    "Wan 2.1 1.3B, 17 frames 480x832": (1536, 30, 8960, 4096, (5, 60, 104)),
    "Wan 2.1 1.3B, 81 frames 480x832": (1536, 30, 8960, 4096, (21, 60, 104)),
    "Wan 2.1 14B, 81 frames 480x832": (5120, 40, 13824, 4096, (21, 60, 104)),
}
PARTS = ("work", "widths", "rest", "tiny", "memory", "growth", "peers", "error")
PARTS += ("passes",)


def work(repetitions: int) -> dict[str, Any]:
    """Count the matrix products of one clip's pass: no time, the same everywhere.

    Networks without memory (torch's meta device); attention counts as it is written
    (two products forward, four backward).
    """
    from torch.utils.flop_counter import FlopCounterMode

    found = {}
    for name, (width, layers, feed, text, latent) in COUNTED.items():
        tokens = latent[0] * latent[1] * latent[2] // 4
        with torch.device("meta"):
            network = models.wan(width, layers, feed=feed, text=text)
            task = models.Task(network, 1, latent=latent, text=text)
        counts = {}
        for mode, action in {
            "plain": task.plain,
            "floor": task.floor,
            "sketched": task.capturing(task.engine(DEFAULT_SIZE)),
            "exact_norms": task.capturing(task.engine(DEFAULT_SIZE, exact_norms=True)),
        }.items():
            with FlopCounterMode(display=False) as counter:
                action()
            counts[mode] = int(counter.get_total_flops())
        ratios = {mode: value / counts["plain"] for mode, value in counts.items()}
        found[name] = {
            "tokens": tokens,
            "parameters": sum(p.numel() for p in network.parameters()),
            "plain_flops": counts["plain"],
            "ratio": ratios,
        }
        print(name, json.dumps(found[name]), flush=True)
    return found


def widths(repetitions: int) -> dict[str, Any]:
    """Time sketched and exact capture at three widths."""
    found = {}
    for width, (layers, clips) in WIDTHS.items():
        network = models.wan(width, layers)
        task = models.Task(network, clips)
        other = models.Task(models.wan(width, layers), clips)
        other.compile()
        compiled = task.engine(DEFAULT_SIZE, compiled=True)
        modes = {
            "plain": task.plain,
            "plain_compiled": other.plain,
            "sketched_compiled": task.capturing(compiled),
            "floor": task.floor,
            "sketched": task.capturing(task.engine(DEFAULT_SIZE)),
            "sketched_no_pilot": task.capturing(task.engine(DEFAULT_SIZE, pilot=False)),
            "exact_norms": task.capturing(task.engine(DEFAULT_SIZE, exact_norms=True)),
        }
        count = sum(p.numel() for p in network.parameters())
        found[str(width)] = {
            "blocks": layers,
            "clips": clips,
            "tokens": models.TOKENS,
            "parameters": count,
            "modes": models.interleaved(modes, repetitions),
        }
        print(width, json.dumps(found[str(width)]["modes"]), flush=True)
    return found


def rest(repetitions: int) -> dict[str, Any]:
    """Time what a sketched pass spends beside the floor, kind by kind."""
    from analyses.cost import time_breakdown

    return time_breakdown.study(repetitions, WIDTHS)


def tiny_probe(folder: Path, **options: Any) -> Any:
    """Prepare a probe of the shipped checkpoint."""
    from tqd_probe.probing.prepare import prepare
    from tqd_probe.probing.settings import RunSettings

    settings = RunSettings(ckpt="tiny", out=folder, **options)
    return prepare(settings, quiet=True)


def tiny(repetitions: int) -> dict[str, Any]:
    """Time the default probe of `tiny`: a pass holds the versions of several draws.

    Per clip, beside two plain passes: of the five versions of one draw, and of all
    that our pass holds.
    """
    from tqd_probe.gradients.capture import GradientCapture
    from tqd_probe.gradients.sinks import Sketched
    from tqd_probe.probing.cost import batch_size, plain_pass
    from tqd_probe.probing.draws import pack_losses
    from tqd_probe.probing.micro_batches import packs
    from tqd_probe.probing.passes import fitted_sketch

    with tempfile.TemporaryDirectory() as place:
        probe = tiny_probe(Path(place) / "run", num_clips=8)
        names = probe.encoded.conditions
        network, layout = probe.model.network, probe.layout
        size = batch_size(probe)["batch_size"]
        pack = next(packs(8, (), 1, len(names), size))
        count = len(pack) * len(names)
        one = pack_losses(probe, pack[:1], 0.5, names)
        many = pack_losses(probe, pack, 0.5, names)
        whole = probe.engine(ring=2)
        sketched = GradientCapture(network, layout, Sketched(fitted_sketch(probe)))
        unfitted = GradientCapture(network, layout, Sketched(probe.sketch))
        modes = {
            "plain_one_draw": lambda: plain_pass(probe, one),
            "plain": lambda: plain_pass(probe, many),
            "exact": lambda: whole.per_clip(many, count),
            "sketched": lambda: sketched.per_clip(many, count),
            "sketched_no_pilot": lambda: unfitted.per_clip(many, count),
            "exact_one_draw": lambda: whole.per_clip(one, len(names)),
        }
        with probe.deterministic():
            found = models.interleaved(modes, 3 * repetitions)
            alone = models.interleaved(modes, 3 * repetitions, "plain_one_draw")
        probe.store.release()
    for name, mode in alone.items():
        share = 1 if name.endswith("one_draw") else len(names) / count
        found[name]["per_clip_over_one_draw"] = share * mode["ratio"]
    print("tiny", json.dumps(found), flush=True)
    return {"clips": count, "versions": len(names), "modes": found}


MEMORY = """
import sys; sys.path[:0] = {paths!r}
import cost_models, torch
from tqd_probe.core.memory import PeakMemory
torch.set_num_threads({threads})
task = models.Task(models.wan({width}, {layers}), {clips})
task.floor()  # buffers that stay
action = task.plain if {mode!r} == "plain" else task.capturing(
    task.engine({size}, {mode!r} == "exact_norms"))
with PeakMemory("cpu") as memory:
    action()
print(memory.used)
"""


def memory(repetitions: int) -> dict[str, Any]:
    """Measure the peak above weights of one pass, each in a process of its own."""
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    found: dict[str, Any] = {}
    for width, (layers, clips) in WIDTHS.items():
        used = {}
        for mode in ("plain", "sketched", "exact_norms"):
            code = MEMORY.format(
                paths=paths,
                threads=torch.get_num_threads(),
                width=width,
                layers=layers,
                clips=clips,
                mode=mode,
                size=DEFAULT_SIZE,
            )
            # Freed tensors go back to the system at once: what is resident is alive,
            # and not what an earlier pass left in the heap.
            done = subprocess.run(
                [sys.executable, "-c", code],
                capture_output=True,
                text=True,
                check=True,
                env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"},
            )
            used[mode] = int(done.stdout.split()[-1])
        network = models.wan(width, layers)
        weights = 4 * sum(p.numel() for p in network.parameters())
        whole = {mode: weights + value for mode, value in used.items()}
        found[str(width)] = {
            "weights_bytes": weights,
            "peak_above_weights_bytes": used,
            "ratio": {mode: value / whole["plain"] for mode, value in whole.items()},
        }
        print(width, json.dumps(found[str(width)]["ratio"]), flush=True)
    return found


def growth(repetitions: int) -> dict[str, Any]:
    """Time whole runs over a decade of clips and of levels, on `tiny`."""
    from tqd_probe.probing.passes import run

    found: dict[str, Any] = {"clips": {}, "levels": {}, "store_bytes": {}}
    runs = [("clips", n, 2) for n in (6, 12, 24, 60)]
    runs += [("levels", 6, n) for n in (1, 2, 5, 10)]
    for what, clips, levels in runs:
        with tempfile.TemporaryDirectory() as place:
            probe = tiny_probe(
                Path(place) / "run",
                num_clips=clips,
                levels=str(levels),
                draws=1,
                sketch=str(DEFAULT_SIZE),
            )
            began = time.perf_counter()
            run(probe, quiet=True)
            spent = time.perf_counter() - began
            size = sum(f.stat().st_size for f in (probe.out / "gradients").rglob("*.*"))
            probe.store.release()
        key = clips if what == "clips" else levels
        found[what][str(key)] = spent
        found["store_bytes"][f"{what} {key}"] = size
        if what == "clips":
            found["bytes_per_clip_and_level"] = size / clips / levels
        print(what, key, round(spent, 2), flush=True)
    for what in ("clips", "levels"):
        x = np.array([float(k) for k in found[what]])
        y = np.array(list(found[what].values()))
        slope = np.polyfit(np.log(x), np.log(y), 1)[0]
        line = np.polyval(np.polyfit(x, y, 1), x)
        found[f"{what}_exponent"] = float(slope)
        found[f"{what}_r2"] = float(1 - ((y - line) ** 2).sum() / y.var() / len(y))
    return found


def peers(repetitions: int, python: str, only: str, limit: int) -> dict[str, Any]:
    """Run the peers, each in a process of its own, each beside us."""
    script = Path(__file__).parent / "peers.py"
    listed = subprocess.run(
        [python, str(script), "--list"], capture_output=True, text=True, check=True
    ).stdout.split()
    found: dict[str, Any] = {}
    for name in only.split(",") if only else listed:
        command = [python, str(script), "--peer", name, "--repeat", str(repetitions)]
        command += ["--threads", str(torch.get_num_threads())]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=limit
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
    parser = study_parser(__file__, __doc__)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peers-python", default=sys.executable)
    parser.add_argument("--only-peers", default="", help="names; others are kept")
    parser.add_argument("--peer-limit", type=int, default=420, help="seconds for each")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for part in options.parts.split(","):
        if part in ("error", "passes"):
            module = __import__(f"probe_{part}")
            value = module.study()
        elif part == "peers":
            value = peers(
                *(options.repeat, options.peers_python),
                *(options.only_peers, options.peer_limit),
            )
        else:
            value = globals()[part](options.repeat)
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        if part == "peers" and options.only_peers:
            value = {**results.get(part, {}), **value}
        results[part] = {"machine": models.machine(), **value}
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    run_script(main)
