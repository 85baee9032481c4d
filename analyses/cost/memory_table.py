"""Peak memory of one clip's pass at its native size, for published networks.

The real engine runs the real configuration on torch's meta device, where tensors take
no memory; storages that are alive are followed (`meta_counts.LiveMemory`). Peaks count
weights, activations and gradients; what an optimiser adds is not among them. Every
block adds the same: four and six blocks tell the rest, or ``--all-blocks`` runs all.

    python -m analyses.cost.memory_table                 # the table
    python -m analyses.cost.memory_table --only check    # against measurements
"""

from __future__ import annotations

import gc
import json
import math
from collections.abc import Callable
from typing import Any

import torch

from analyses.cost import meta_counts, models
from analyses.cost.peak_memory import Pass
from analyses.cost.published import PUBLISHED, Published, PublishedTask
from analyses.results_file import run_script, study_parser, write_results
from tqd_probe.core.files import read_json
from tqd_probe.core.library_logging import silence_libraries
from tqd_probe.gradients.sketch import DEFAULT_SIZE

WAYS = ("plain", "floor", "sketched", "exact_norms", "whole")
SHORTER = {"Wan 2.1 T2V 1.3B": (17, 33)}  # frames, beside the native number
SHORT = (4, 6)  # blocks of a kind
DEPTHS = ("num_layers", "num_single_layers")  # kinds of blocks; most have one
LATENT = (3, 64, 64)  # of the check: 3,072 tokens
CHECKED = [
    Pass(width, layers, clips=1, latent=LATENT, way=way, checkpointing=checkpointing)
    for width, layers in ((384, 4), (384, 8), (768, 2))
    for checkpointing in (False, True)
    for way in ("plain", "sketched", "exact_norms")
]
# GB on an H100 (Wan 2.1 T2V 1.3B, 480x832), by frames and clips; `gpu.py` has those of
# 17 frames, with the present engine.
H100: dict[tuple[int, int], dict[str, float]] = {
    (17, 2): {"plain": 56.9, "floor": 34.0, "sketched": 47.3, "exact_norms": 60.4},
    (33, 1): {"plain": 51.3, "floor": 30.7},
}


def passes(task: models.Task) -> dict[str, Callable[[], Any]]:
    """Return the passes of `WAYS` by name.

    Args:
        task: Network and clips.

    Returns:
        What runs each.
    """

    def captured(size: int | None, exact_norms: bool = False) -> Callable[[], Any]:
        return lambda: task.engine(size, exact_norms).capture(task.losses, task.clips)

    return {
        "plain": task.plain,
        "floor": task.floor,
        "sketched": captured(DEFAULT_SIZE),
        "exact_norms": captured(DEFAULT_SIZE, exact_norms=True),
        "whole": captured(None),
    }


def peak(task: models.Task, action: Callable[[], Any]) -> int:
    """Return the peak of a pass on the meta device, weights included.

    Args:
        task: Network and clips.
        action: The pass.

    Returns:
        Bytes.
    """
    for parameter in task.network.parameters():
        parameter.grad = None
    gc.collect()
    with meta_counts.LiveMemory() as memory:
        memory.hold([*task.network.parameters(), *task.network.buffers(), task.x])
        action()
    return memory.peak


def row(
    model: Published,
    frames: int,
    clips: int = 1,
    ways: tuple[str, ...] = WAYS,
    all_blocks: bool = False,
) -> dict[str, Any]:
    """Return the peaks of one network, without and with gradient checkpointing.

    Args:
        model: The network.
        frames: Frames of a clip.
        clips: Clips in a pass.
        ways: Of those in `WAYS`.
        all_blocks: Run all blocks instead of few.

    Returns:
        Counts, and bytes by way.
    """
    network = model.network("meta")
    task = PublishedTask(model, network, clips, model.latent(frames))
    patch = network.config.get("patch_size", 1)
    side = patch if isinstance(patch, int) else patch[-1]
    found: dict[str, Any] = {
        "clip": [frames, *model.clip[1:]],
        "clips": clips,
        "dtype": str(model.dtype).removeprefix("torch."),
        "tokens": math.prod(task.size) // side**2,
        "parameters": sum(p.numel() for p in network.parameters()),
        "weights": sum(p.nbytes for p in network.parameters()),
    }
    if all_blocks:
        return found | peaks(task, ways)
    kinds = [kind for kind in DEPTHS if kind in network.config]

    def with_blocks(**layers: int) -> dict[str, dict[str, int]]:
        short = model.network("meta", **{**dict.fromkeys(kinds, SHORT[0]), **layers})
        return peaks(PublishedTask(model, short, clips, task.size), ways)

    fewer = with_blocks()
    found |= {setting: dict(by_way) for setting, by_way in fewer.items()}
    for kind in kinds:
        steps = (network.config[kind] - SHORT[0]) / (SHORT[1] - SHORT[0])
        for setting, by_way in with_blocks(**{kind: SHORT[1]}).items():
            for way, value in by_way.items():
                added = value - fewer[setting][way]
                found[setting][way] += round(steps * added)
    return found


def peaks(task: models.Task, ways: tuple[str, ...]) -> dict[str, dict[str, int]]:
    """Return the peaks without and with gradient checkpointing, which stays on."""
    found = {}
    network: Any = task.network
    for kind in ("peak", "checkpointed"):
        if kind == "checkpointed":
            network.enable_gradient_checkpointing()
        with meta_counts.gpu_kernels():
            actions = passes(task)
            found[kind] = {way: peak(task, actions[way]) for way in ways}
    return found


def check() -> dict[str, Any]:
    """Compare with measurements: small networks on a CPU, and the H100's figures.

    Returns:
        Counted and measured bytes of every pass; above weights on the CPU.
    """
    found: dict[str, Any] = {"cpu": [], "h100": []}
    for one in CHECKED:
        with torch.device("meta"):
            task, action = one.make()
        with meta_counts.flash_attention():  # a CPU takes norms apart
            counted = peak(task, action)
        counted -= sum(p.nbytes for p in task.network.parameters()) + task.x.nbytes
        measured = one.in_fresh_process()
        entry = {
            "width": one.width,
            "blocks": one.layers,
            "way": one.way,
            "checkpointing": one.checkpointing,
            "counted": counted,
            "measured": measured,
            "ratio": counted / measured,
        }
        found["cpu"].append(entry)
        print(json.dumps(entry), flush=True)
    for (frames, clips), known in H100.items():
        model = PUBLISHED["Wan 2.1 T2V 1.3B"]
        counts = row(model, frames, clips, tuple(known), all_blocks=True)["peak"]
        for way, gigabytes in known.items():
            entry = {
                "frames": frames,
                "clips": clips,
                "way": way,
                "counted": counts[way],
                "measured": round(1e9 * gigabytes),
                "ratio": counts[way] / 1e9 / gigabytes,
            }
            found["h100"].append(entry)
            print(json.dumps(entry), flush=True)
    return found


def table(rows: dict[str, Any]) -> str:
    """Return the table of the documentation.

    Args:
        rows: Rows by name.

    Returns:
        Lines of Markdown; GB.
    """
    shown = ("plain", "sketched", "exact_norms")
    lines = [
        "| model | clip | tokens | parameters (10⁹) | weights"
        " | plain pass | sketched | exact norms"
        " | plain, checkpointed | sketched | exact norms |",
        "|" + "---|" * 11,
    ]
    for each in rows.values():
        peaks = [each[kind][way] for kind in ("peak", "checkpointed") for way in shown]
        cells = [
            each["name"],
            " x ".join(map(str, each["clip"])),
            f"{each['tokens']:,}",
            f"{each['parameters'] / 1e9:.2f}",
            *(f"{value / 1e9:.1f}" for value in [each["weights"], *peaks]),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Count every network, or compare with measurements; keep the other's results."""
    parser = study_parser(__file__, __doc__)
    parser.add_argument("--only", default="", help="part of a name, or check")
    parser.add_argument("--all-blocks", action="store_true", help="run all blocks")
    args = parser.parse_args()
    silence_libraries()
    kept = read_json(args.results, "results") if args.results.exists() else {}
    rows, checked = dict(kept.get("models", {})), kept.get("check")
    for name, model in PUBLISHED.items():
        for frames in (*SHORTER.get(name, ()), model.clip[0]):
            if args.only in name:
                found = row(model, frames, all_blocks=args.all_blocks)
                rows[f"{name}, {frames} frames"] = {"name": name, **found}
                print(name, frames, json.dumps(found), flush=True)
    if args.only in ("", "check"):
        checked = check()
    print(table(rows))
    write_results(parser, args, {"models": rows, "check": checked})


if __name__ == "__main__":
    run_script(main)
