"""Raw gradients against Adam's metric: what changes in cosines, norm ratios and bands?

Two finished probes of the same clips and noise, one with ``--metric adam``.

    python -m analyses.intervals.metric_effect RAW_RUN ADAM_RUN
"""

from __future__ import annotations

from pathlib import Path

from analyses.finished_probe import FinishedProbe
from analyses.results_file import run_script, study_parser, write_results
from tqd_probe.core.errors import InputError


def main() -> None:
    """Put the two side by side."""
    parser = study_parser(__file__, __doc__)
    parser.add_argument("raw", type=Path)
    parser.add_argument("adam", type=Path)
    args = parser.parse_args()
    runs = {"raw": FinishedProbe(args.raw), "adam": FinishedProbe(args.adam)}
    if runs["raw"].result.noise != runs["adam"].result.noise:
        raise InputError("the two runs have other noise levels; make them alike")
    rows: dict[str, dict] = {}
    for metric, each in runs.items():
        for name, entry in each.schedule.degradations_detail.items():
            rows.setdefault(name, {})[metric] = {
                "cosine": entry.cosine,
                "norm_ratio": entry.norm_ratio,
                "bands": entry.bands,
            }
            print(name, metric, entry.cosine, entry.norm_ratio, entry.bands)
    write_results(
        parser,
        args,
        {
            "runs": {metric: each.command for metric, each in runs.items()},
            "levels": runs["raw"].levels,
            "snr": {metric: each.golden.snr for metric, each in runs.items()},
            "degradations": rows,
        },
    )


if __name__ == "__main__":
    run_script(main)
