"""Do cheaper probes decide alike? Fewer blocks, fewer frames, fewer pixels.

The rule of use by Adam's metric, factored, on the pairs of a result of `predictors.py`,
measured four ways: whole; with the parameters of the last third of the blocks alone;
with 9 frames instead of 17; with half the height and width. `protocol.md` asks for the
same decision at 95 % of the pairs and for no harmful pair that the whole probe refuses.

    python -m analyses.worth.cheaper_probes --start half --trained WORK --work DIR \
        --pairs analyses/worth/results/predictors_half.json \
        --results analyses/worth/results/cheaper_half.json
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from analyses.results_file import run_script, write_results
from analyses.worth.admitted_pairs import GOOD
from analyses.worth.clip_collections import SECOND
from analyses.worth.judge_predictors import BASE
from analyses.worth.predictors import checkpoint_parser, measure, open_training
from analyses.worth.start_checkpoints import start_checkpoint
from tqd_probe.clips.shape import ClipShape
from tqd_probe.core.files import read_json
from tqd_probe.core.library_logging import silence_libraries

WHOLE = "whole"
PROBES = (WHOLE, "last third of the blocks", "9 frames", "half the resolution")
LEAST_ALIKE = 0.95  # share of pairs with the decision of the whole probe


def last_blocks(names: list[str]) -> list[str]:
    """Return the parameters of the last third of the blocks.

    Args:
        names: Names of parameters; the first number in one is its block.

    Returns:
        Those of the last blocks; a third of them, rounded, at least one.
    """
    block = {name: re.search(r"\.(\d+)\.", name) for name in names}
    number = {name: int(found[1]) for name, found in block.items() if found}
    count = 1 + max(number.values())
    first = count - max(1, round(count / 3))
    return [name for name in names if number.get(name, -1) >= first]


def shape_of(probe: str, native: ClipShape) -> ClipShape:
    """Return the shape of the clips that a probe takes.

    Args:
        probe: One of `PROBES`.
        native: The checkpoint's own shape.

    Returns:
        The shape.
    """
    frames, height, width = native.frames, native.height, native.width
    if probe == "9 frames":
        frames = 9
    if probe == "half the resolution":
        height, width = height // 2, width // 2
    return ClipShape(frames=frames, height=height, width=width, fps=native.fps)


def compare(
    whole: list[dict[str, Any]], cheap: list[dict[str, Any]]
) -> dict[str, int | float | bool]:
    """Compare the decisions of a cheaper probe with those of the whole one.

    Args:
        whole: Pairs with ``share`` and ``admitted``.
        cheap: The same pairs as the other probe admits them.

    Returns:
        Pairs decided alike and their share; admitted ones, and good and harmful among
        them; harmful ones that the whole probe refuses; and whether the cheaper probe
        is to be recommended.
    """
    both = [(a["admitted"][BASE], b["admitted"][BASE]) for a, b in zip(whole, cheap)]
    share = [pair["share"] for pair in whole]
    alike = sum(a == b for a, b in both)
    worse = sum(b and not a and s < 0 for (a, b), s in zip(both, share))
    return {
        "pairs": len(both),
        "alike": alike,
        "share_alike": alike / len(both),
        "admitted": sum(b for _, b in both),
        "admitted_by_it_alone": sum(b and not a for a, b in both),
        "refused_by_it_alone": sum(a and not b for a, b in both),
        "good": sum(b and s >= GOOD for (_, b), s in zip(both, share)),
        "harmful": sum(b and s < 0 for (_, b), s in zip(both, share)),
        "harmful_by_it_alone": worse,
        "recommended": alike / len(both) >= LEAST_ALIKE and not worse,
    }


def main() -> None:
    """Measure the pairs four ways."""
    command = checkpoint_parser(__file__, __doc__)
    command.add_argument("--pairs", type=Path, required=True, help="of predictors.py")
    args = command.parse_args()
    silence_libraries()
    known: Any = read_json(args.pairs, "results of predictors.py")
    pairs = [p for p in known["pairs"] if p["degradation"] != SECOND]
    ckpt = start_checkpoint(args.start, args.work, args.trained)
    native = open_training(args, ckpt).model.native
    found: dict[str, Any] = {}
    decided: dict[str, list[dict[str, Any]]] = {}
    for probe in PROBES:
        training = open_training(args, ckpt, shape_of(probe, native))
        if probe == PROBES[1]:
            kept = last_blocks(list(training.parameters))
            training.parameters = {n: training.parameters[n] for n in kept}
        size = sum(p.numel() for p in training.parameters.values())
        keys = ("degradation", "sigma", "share")
        mine = [{key: pair[key] for key in keys} for pair in pairs]
        seconds = measure(training, mine, args.probe_clips, only=(BASE,))
        decided[probe] = mine
        found[probe] = compare(decided[WHOLE], mine)
        found[probe] |= {"parameters": size, "seconds_of_a_clip_gradient": seconds}
        print(probe, found[probe], flush=True)
    same = [
        a["admitted"][BASE] == b["admitted"][BASE]
        for a, b in zip(pairs, decided[WHOLE])
    ]
    result = {
        "set": known["set"],
        "whole_as_predictors_found": sum(same),
        "probes": found,
        "pairs": decided,
    }
    write_results(command, args, result)


if __name__ == "__main__":
    run_script(main)
