"""Does `tqd_probe.verify` say what is true? Ten runs of a case with a known answer.

Half of the training clips are noise. One sampler never draws them (the baseline), one
draws them below sigma 0.5 and must lose. And, from the same trials, the baseline of one
run against that of the next, which share nothing but the distribution: no winner may be
declared. From the same trials also: what interim analyses after each seed would have
found, and when. (Two samplers that draw the same samples differ by exactly nothing, as
`tests/test_verify.py` has it: a far easier null.)

    python -m analyses.worth.verify_check --work /tmp/verify_check
"""

from __future__ import annotations

import argparse
import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from analyses.results_file import run_script, study_parser, write_results
from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.clips.video import write_video
from tqd_probe.core.library_logging import silence_libraries
from tqd_probe.core.rng import stream
from tqd_probe.models.load import load_model
from tqd_probe.schedules.band_schedule import BandSchedule
from tqd_probe.statistics.paired_difference import paired_difference
from tqd_probe.verification.interim_analyses import plan_interim_analyses
from tqd_probe.verification.settings import VerificationRunSettings
from tqd_probe.verification.verify import verify

SHAPE = ClipShape(17, 64, 64, 16)


def half_noise_clips(folder: Path) -> Path:
    """Write golden clips and as many of noise, with a manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [["video", "caption", "class"]]
    for index in range(16):
        clip = synthetic_clip(index, 21)
        video = clip.read(SHAPE)
        name = "golden" if index % 2 else "visual_degraded"
        if name != "golden":
            noise = stream(0, "spoilt", index).integers(0, 256, video.shape)
            video = noise.astype(np.uint8)
        write_video(folder / f"c{index:02d}.mp4", video, SHAPE.fps)
        rows.append([f"c{index:02d}.mp4", clip.caption, name])
    with open(folder / "clips.csv", "w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows(rows)
    return folder / "clips.csv"


def band_schedule(path: Path, bands: list[list[float]]) -> Path:
    """Write a schedule that trains the noise clips in given bands."""
    one = {
        "degradations": {"noise": 5},
        "clips": 8,
        "cosine": [0.5, 0.5],
        "cosine_ci": [[0.4, 0.6]] * 2,
        "cosine_naive": [0.5, 0.5],
        "norm_ratio": [1.0, 1.0],
        "norm_ratio_ci": [[0.9, 1.1]] * 2,
        "bias2": [1.0, 1.0],
        "bands": bands,
        "beta": None,
        "logit_offset": None,
    }
    value: dict[str, Any] = {
        "format": "tqd-band-schedule",
        "version": 1,
        "provenance": {"tool_version": "0", "argv": ["verify_check"], "seed": 0},
        "model": {
            "family": "wan",
            "source": "tiny",
            "expert": None,
            "parameters": "all",
            "fingerprint": load_model("tiny").fingerprint,
            "prediction": "flow_velocity",
        },
        "noise": {
            "axis": "sigma",
            "shift": 1.0,
            "levels": [0.2, 0.8],
            "logsnr": [2, -2],
        },
        "criterion": {
            "name": "cosine",
            "cos_min": 0.9,
            "norm_range": [0.5, 2.0],
            "confidence": 0.95,
        },
        "golden": {"clips": 8, "draws": 1, "snr": [1, 1], "resolved": [True, True]},
        "classes": {"visual_degraded": one},
    }
    BandSchedule.model_validate(value).save(path)
    return path


def read_golden(folder: Path, place: int) -> np.ndarray:
    """Read the final golden losses of one sampler's trials.

    Args:
        folder: Folder of finished trials.
        place: The sampler's place.

    Returns:
        Losses ``[seeds, clips, buckets]``.
    """
    paths = sorted(folder.glob(f"seed-*-{place:02d}-*.json"))
    return np.array([json.loads(path.read_text())["after"] for path in paths])


def outcome(gap: np.ndarray, early: bool) -> dict[str, Any]:
    """Judge differences as `verify` does.

    Args:
        gap: Differences of losses ``[seeds, clips, buckets]``.
        early: Analyse after each seed from the third on.

    Returns:
        Seeds used, and the difference with its interval.
    """
    for analysis in plan_interim_analyses(len(gap), early, 1 - 0.95):
        found = paired_difference(gap[: analysis.seeds].mean(2), analysis.level)
        if found.excludes_zero:
            break
    return {"seeds": analysis.seeds, **asdict(found), "clear": found.excludes_zero}


def main() -> None:
    """Verify the case again and again, count right verdicts."""
    parser = study_parser(__file__, __doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=8, help="trials of each sampler")
    parser.add_argument("--lr", type=float, default=3e-3)
    args = parser.parse_args()
    silence_libraries()
    clips = half_noise_clips(args.work / "clips")
    clean = band_schedule(args.work / "clean.json", [])
    noisy = band_schedule(args.work / "noisy.json", [[0.0, 0.5]])
    rows, baselines = [], []
    for run in range(args.runs):
        settings = VerificationRunSettings(
            ckpt="tiny",
            clips=str(clips),
            golden="synthetic:12",
            samplers=f"bands={clean},bands={noisy}",
            steps=args.steps,
            warmup=2,
            lr=args.lr,
            batch_size=4,
            micro_batch=4,
            seeds=args.seeds,
            early_stop=False,  # the same trials then show what it would have done
            seed=args.first_seed + 100 * run,
            clips_seed=0,
            device="cpu",
            out=args.work / f"run-{run:02d}",
        )
        result = verify(settings, quiet=True)
        found = result.comparisons["bands=noisy.json"]
        losses = [read_golden(settings.out / "trials", place) for place in (0, 1)]
        baselines.append(losses[0])
        rows.append(
            {
                "seed": settings.seed,
                "must_lose": found.outcome,
                "difference": asdict(found.difference),
                "stopping_early": outcome(losses[1] - losses[0], True),
                "loss_per_seed": {
                    label: losses.loss_per_seed
                    for label, losses in result.samplers.items()
                },
                "start_loss": result.start_loss,
            }
        )
        print(rows[-1], flush=True)
        write_results(parser, args, summary(args, rows, baselines))


def summary(
    args: argparse.Namespace, rows: list[dict[str, Any]], baselines: list[np.ndarray]
) -> dict[str, Any]:
    """Count right verdicts in the runs so far; each baseline meets the next one."""
    pairs = list(zip(baselines, baselines[1:] + baselines[:1]))
    nulls = {
        early: [outcome(a - b, early)["clear"] for a, b in pairs]
        for early in (False, True)
    }
    early = [row["stopping_early"] for row in rows]
    return {
        "steps": args.steps,
        "lr": args.lr,
        "seeds_per_run": args.seeds,
        "runs_wanted": args.runs,
        "runs": rows,
        "right_sign": sum(row["must_lose"] == "hurts" for row in rows),
        "right_sign_stopping_early": sum(e["clear"] and e["mean"] > 0 for e in early),
        "seeds_when_stopping_early": [each["seeds"] for each in early],
        "no_winner_of_other_seeds": len(pairs) - sum(nulls[False]),
        "no_winner_of_other_seeds_stopping_early": len(pairs) - sum(nulls[True]),
    }


if __name__ == "__main__":
    run_script(main)
