"""Do bands move as a model learns? Probes of the training checkpoints of `tiny`.

`train_tiny.py` writes `step-NNNNN.pt` (transformer and text encoder) into its working
folder every 500 steps. Each is put into a copy of the shipped pipeline and probed with
the same clips and noise. A checkpoint's maturity is its golden signal-to-noise per
level, beside the golden loss.

    python analyses/train_tiny.py --work WORK --stage transformer --steps 4000 --out OUT
    python analyses/maturity.py --trained WORK --work DIR
    python figures/maturity.py
"""

from __future__ import annotations

import argparse
import itertools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tiny_parts import new_transformer
from transformers import UMT5EncoderModel

from tqd_probe.api import probe
from tqd_probe.files import write_json
from tqd_probe.models.load import checkpoint_path
from tqd_probe.results import derive_schedule
from tqd_probe.settings import RunSettings

RESULTS = Path(__file__).parent / "results" / "maturity.json"


def export(source: str, state: Path, target: Path) -> Path:
    """Put the weights of one training step into a copy of a pipeline.

    Args:
        source: The pipeline that lends the other components.
        state: What `train_tiny.py` wrote at that step.
        target: Pipeline directory to write.

    Returns:
        The target.
    """
    shutil.copytree(checkpoint_path(source), target, dirs_exist_ok=True)
    weights = torch.load(state, weights_only=True)
    transformer = new_transformer()
    transformer.load_state_dict(weights["model"])
    transformer.save_pretrained(target / "transformer")
    encoder = UMT5EncoderModel.from_pretrained(target / "text_encoder")
    encoder.load_state_dict(weights["encoder"])
    encoder.save_pretrained(target / "text_encoder")
    return target


def changes(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Compare a degradation's cosine between consecutive checkpoints.

    Args:
        rows: What each checkpoint's probe found, in the order of training.
        name: The degradation.

    Returns:
        How many levels are known in both, at how many of them the intervals are
        apart, and the largest change.
    """
    known = apart = 0
    largest = 0.0
    for before, after in itertools.pairwise(rows):
        for a, b, x, y in zip(
            before["cosine_ci"][name], after["cosine_ci"][name],
            before["cosine"][name], after["cosine"][name],
        ):  # fmt: skip
            if a is None or b is None:
                continue
            known += 1
            apart += a[1] < b[0] or b[1] < a[0]
            largest = max(largest, abs(x - y))
    return {"levels": known, "intervals_apart": apart, "largest_change": largest}


def main() -> None:
    """Probe each checkpoint, compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--trained", type=Path, required=True, help="--work of train_tiny.py"
    )
    parser.add_argument("--ckpt", default="tiny", help="lends the other components")
    parser.add_argument("--steps", default="500,1000,2000,3000,3500,4000")
    parser.add_argument("--levels", default="5")
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--degradations", default="blur:3,noise:3,freeze:5")
    parser.add_argument("--work", type=Path, required=True, help="folder; resumes")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for step in (int(part) for part in args.steps.split(",")):
        name = f"step-{step:05d}"
        source = export(args.ckpt, args.trained / f"{name}.pt", args.work / name)
        result = probe(
            RunSettings(
                ckpt=str(source),
                num_clips=args.clips,
                draws=args.draws,
                levels=args.levels,
                degradations=args.degradations,
                out=args.work / f"run-{step:05d}",
            )
        )
        details = derive_schedule(result).degradations_detail
        golden = result["golden"]
        rows.append(
            {
                "step": step,
                "snr": golden["snr"],
                "loss": golden["loss"],
                "resolved": golden["resolved"],
                "cosine": {name: entry.cosine for name, entry in details.items()},
                "cosine_ci": {name: entry.cosine_ci for name, entry in details.items()},
                "bands": {name: entry.bands for name, entry in details.items()},
            }
        )
        print(step, "snr", np.round(golden["snr"], 3), "bands", rows[-1]["bands"])
    moved = {name: changes(rows, name) for name in rows[0]["cosine"]}
    print(moved)
    write_json(
        args.out,
        {
            "command": "python analyses/maturity.py --trained WORK --ckpt"
            f" {args.ckpt} --steps {args.steps} --levels {args.levels} --clips"
            f" {args.clips} --draws {args.draws} --degradations {args.degradations}"
            " --work DIR",
            "levels": result["noise"]["levels"],
            "between_consecutive_checkpoints": moved,
            "rows": rows,
        },
    )
    print(args.out)


if __name__ == "__main__":
    main()
