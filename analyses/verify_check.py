"""Does `tqd_probe.verify` say what is true? Ten runs of a case with a known answer.

Half of the training clips are noise. One sampler never draws them (the baseline), one
draws them below sigma 0.5 and must lose. And, from the same trials, the baseline of one
run against that of the next, which share nothing but the distribution: no winner may be
declared. (Two samplers that draw the same samples differ by exactly nothing, as
`tests/test_verify.py` has it: a far easier null.)

    python analyses/verify_check.py --work /tmp/verify_check
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.clips.video import write_video
from tqd_probe.files import write_json
from tqd_probe.libraries import quiet_libraries
from tqd_probe.models.load import load_model
from tqd_probe.rng import stream
from tqd_probe.schedule import BandSchedule
from tqd_probe.training.trial_settings import TrialRunSettings
from tqd_probe.training.trials import verify
from tqd_probe.training.verdict import difference, error_share

RESULTS = Path(__file__).parent / "results" / "verify_check.json"
SHAPE = ClipShape(17, 64, 64, 16)


def spoilt_clips(folder: Path) -> Path:
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
        **{"degradations": {"noise": 5}, "clips": 8, "cosine": [0.5, 0.5]},
        **{"cosine_ci": [[0.4, 0.6]] * 2, "cosine_naive": [0.5, 0.5]},
        **{"norm_ratio": [1.0, 1.0], "norm_ratio_ci": [[0.9, 1.1]] * 2},
        **{"bias2": [1.0, 1.0], "bands": bands, "beta": None, "logit_offset": None},
    }
    value: dict[str, Any] = {
        "format": "tqd-band-schedule",
        "version": 1,
        "provenance": {"tool_version": "0", "argv": ["verify_check"], "seed": 0},
        "model": {
            **{"family": "wan", "source": "tiny", "expert": None, "parameters": "all"},
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
            **{"name": "cosine", "cos_min": 0.9, "norm_range": [0.5, 2.0]},
            "confidence": 0.95,
        },
        "golden": {"clips": 8, "draws": 1, "snr": [1, 1], "resolved": [True, True]},
        "classes": {"visual_degraded": one},
    }
    BandSchedule.model_validate(value).save(path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--steps", type=int, default=14)
    parser.add_argument("--seeds", type=int, default=5, help="trials of each sampler")
    args = parser.parse_args()
    quiet_libraries()
    clips = spoilt_clips(args.work / "clips")
    clean = band_schedule(args.work / "clean.json", [])
    noisy = band_schedule(args.work / "noisy.json", [[0.0, 0.5]])
    rows, baselines = [], []
    for run in range(args.runs):
        settings = TrialRunSettings(
            ckpt="tiny",
            clips=str(clips),
            golden="synthetic:12",
            samplers=f"bands={clean},bands={noisy}",
            steps=args.steps,
            warmup=2,
            lr=1e-2,
            batch_size=4,
            micro_batch=4,
            seeds=args.seeds,
            early_stop=False,
            seed=100 * run,
            clips_seed=0,
            device="cpu",
            out=args.work / f"run-{run:02d}",
        )
        result = verify(settings, quiet=True)
        found = result["verdicts"]
        rows.append(
            {
                "seed": settings.seed,
                "must_lose": found["bands=noisy.json"]["verdict"],
                "difference": found["bands=noisy.json"]["difference"],
                "loss_per_seed": {
                    label: one["loss_per_seed"]
                    for label, one in result["samplers"].items()
                },
                "start_loss": result["start_loss"],
            }
        )
        trials = sorted((settings.out / "trials").glob("seed-*-00-*.json"))
        after = [json.loads(path.read_text())["after"] for path in trials]
        baselines.append(np.array(after))
        print(rows[-1], flush=True)
        write_json(RESULTS, summary(args, rows, baselines))
    print(json.loads(RESULTS.read_text()) | {"runs": len(rows)})


def summary(
    args: argparse.Namespace, rows: list[dict[str, Any]], baselines: list[np.ndarray]
) -> dict[str, Any]:
    """Count right verdicts in the runs so far; each baseline meets the next one."""
    alpha = error_share(0.95, 1, 2)  # looked at once, one pair
    pairs = zip(baselines, baselines[1:] + baselines[:1])
    nulls = [difference((a - b).mean(2), alpha).clear for a, b in pairs]
    return {
        "steps": args.steps,
        "seeds_per_run": args.seeds,
        "runs_wanted": args.runs,
        "runs": rows,
        "right_sign": sum(row["must_lose"] == "hurts" for row in rows),
        "no_winner_of_other_seeds": len(nulls) - sum(nulls) if len(rows) > 2 else None,
    }


if __name__ == "__main__":
    main()
