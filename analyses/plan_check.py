"""Does `--plan` predict the widths that runs then find?

A pilot (32 clips x 2 draws, its clips among the first of the run's own) forecasts the
width of every cosine's interval; then runs are made with other numbers of clips and
draws, and the widths compared. Only levels resolved in pilot and run count.

    python analyses/plan_check.py --ckpt tiny          # writes results/plan_check.json
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tqd_probe.api import probe
from tqd_probe.files import write_json
from tqd_probe.plan import run_pilot
from tqd_probe.settings import RunSettings

RESULTS = Path(__file__).parent / "results" / "plan_check.json"


def main() -> None:
    """Forecast, run, compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ckpt", default="tiny")
    parser.add_argument("--runs", default="48x2,64x1", help="clips x draws, ...")
    parser.add_argument("--levels", default="0.15,0.45,0.75")
    parser.add_argument("--degradations", default="blur:3,noise:3,downscale:3,freeze:5")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    base = RunSettings(
        ckpt=args.ckpt,
        clips="synthetic:200",
        levels=args.levels,
        degradations=args.degradations,
        seed=args.seed,
    )
    pilot = run_pilot(base)
    rows: list[dict[str, Any]] = []
    for run in args.runs.split(","):
        clips, draws = (int(part) for part in run.split("x"))
        with tempfile.TemporaryDirectory() as folder:
            settings = base.model_copy(
                update={"num_clips": clips, "draws": draws, "out": Path(folder) / "run"}
            )
            result = probe(settings)
        for index, sigma in enumerate(result["noise"]["levels"]):
            known = result["golden"]["resolved"][index] and pilot.golden[index].resolved
            for name, curves in result["subjects"].items():
                bounds = curves["cosine_ci"][index]
                forecast = pilot.forecasts[index][name]
                width = forecast.width(clips, draws, base.confidence)
                if not known or bounds is None or not np.isfinite(width):
                    continue
                found = bounds[1] - bounds[0]
                rows.append(
                    {
                        "clips": clips,
                        "draws": draws,
                        "sigma": sigma,
                        "subject": name,
                        "predicted": width,
                        "found": found,
                        "ratio": width / found,
                    }
                )
                print(
                    f"{clips} x {draws}  sigma {sigma:.2f}  {name:16}"
                    f" predicted {width:.4f}  found {found:.4f}"
                    f"  ratio {width / found:.2f}"
                )
    ratios = np.array([row["ratio"] for row in rows])
    inside = float(((ratios > 0.75) & (ratios < 1.25)).mean())
    spread = [float(x) for x in np.quantile(ratios, [0.1, 0.5, 0.9])]
    print(f"within 25 %: {inside:.0%} of {len(rows)}; ratio deciles 1, 5, 9: {spread}")
    write_json(
        args.out,
        {
            "command": f"python analyses/plan_check.py --ckpt {args.ckpt} --runs"
            f" {args.runs} --levels {args.levels} --degradations {args.degradations}"
            f" --seed {args.seed}",
            "within_25_percent": inside,
            "ratio_quantiles": {"0.1": spread[0], "0.5": spread[1], "0.9": spread[2]},
            "rows": rows,
        },
    )
    print(args.out)


if __name__ == "__main__":
    main()
