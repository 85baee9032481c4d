"""Raw gradients against Adam's metric: what changes in cosines, norm ratios and bands?

Two finished probes of the same clips and noise, one with ``--metric adam``.

    python -m analyses.intervals.metric_effect RAW_RUN ADAM_RUN
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tqd_probe.core.command_line import main_guard
from tqd_probe.core.errors import InputError
from tqd_probe.core.files import write_json
from tqd_probe.plot import read_result
from tqd_probe.probing.measure import derive_schedule

RESULTS = Path(__file__).parent / "results" / "metric_effect.json"


def main() -> None:
    """Put the two side by side."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("raw", type=Path)
    parser.add_argument("adam", type=Path)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    results = {
        "raw": read_result(args.raw / "gradsim.json"),
        "adam": read_result(args.adam / "gradsim.json"),
    }
    if results["raw"]["noise"] != results["adam"]["noise"]:
        raise InputError("the two runs have other noise levels; make them alike")
    rows: dict[str, dict] = {}
    for metric, result in results.items():
        details = derive_schedule(result).degradations_detail
        for name, entry in details.items():
            rows.setdefault(name, {})[metric] = {
                "cosine": entry.cosine,
                "norm_ratio": entry.norm_ratio,
                "bands": entry.bands,
            }
            print(name, metric, entry.cosine, entry.norm_ratio, entry.bands)
    write_json(
        args.out,
        {
            "command": "python -m analyses.intervals.metric_effect RAW_RUN ADAM_RUN",
            "runs": {m: " ".join(r["provenance"]["argv"]) for m, r in results.items()},
            "levels": results["raw"]["noise"]["levels"],
            "snr": {m: r["golden"]["snr"] for m, r in results.items()},
            "degradations": rows,
        },
    )
    print(args.out)


if __name__ == "__main__":
    with main_guard() as outcome:
        main()
    raise SystemExit(outcome.code)
