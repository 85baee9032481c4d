"""Time of a pass that captures gradients, over a plain forward and backward pass."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from analyses.cost import models
from analyses.cost.tiny_probe import tiny_probe
from tqd_probe.gradients.capture import GradientCapture
from tqd_probe.gradients.kept_gradients import Sketched
from tqd_probe.gradients.sketch import DEFAULT_SIZE
from tqd_probe.probing.batch_size import choose_batch_size, plain_pass
from tqd_probe.probing.losses import batch_losses
from tqd_probe.probing.micro_batches import micro_batches
from tqd_probe.probing.passes import allocate_sketch

WIDTHS = {384: (4, 2), 768: (4, 2), 1536: (2, 2)}  # width: blocks, clips


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


def tiny(repetitions: int) -> dict[str, Any]:
    """Time the default probe of `tiny`: a pass holds the versions of several draws.

    Per clip, beside two plain passes: of the five versions of one draw, and of all
    that our pass holds.
    """
    with tempfile.TemporaryDirectory() as place:
        probe = tiny_probe(Path(place) / "run", num_clips=8)
        names = probe.encoded.versions
        network, layout = probe.model.network, probe.layout
        size = choose_batch_size(probe)["batch_size"]
        draws = next(micro_batches(8, (), 1, len(names), size))
        count = len(draws) * len(names)
        one = batch_losses(probe, [(draws[0], names)], 0.5)
        many = batch_losses(probe, [(draw, names) for draw in draws], 0.5)
        whole = probe.engine()
        sketched = GradientCapture(network, layout, Sketched(allocate_sketch(probe)))
        unfitted = GradientCapture(network, layout, Sketched(probe.sketch))
        modes = {
            "plain_one_draw": lambda: plain_pass(network, one),
            "plain": lambda: plain_pass(network, many),
            "exact": lambda: whole.per_clip(many, count),
            "sketched": lambda: sketched.per_clip(many, count),
            "sketched_no_pilot": lambda: unfitted.per_clip(many, count),
            "exact_one_draw": lambda: whole.per_clip(one, len(names)),
        }
        with probe.deterministic():
            found = models.interleaved(modes, 3 * repetitions)
            alone = models.interleaved(modes, 3 * repetitions, "plain_one_draw")
        probe.release()
    for name, mode in alone.items():
        share = 1 if name.endswith("one_draw") else len(names) / count
        found[name]["per_clip_over_one_draw"] = share * mode["ratio"]
    print("tiny", json.dumps(found), flush=True)
    return {"clips": count, "versions": len(names), "modes": found}
