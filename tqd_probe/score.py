"""Score clips for motion and visual quality, or convert published scores.

python -m tqd_probe.score --clips CLIPS --out scores.csv
python -m tqd_probe.score --from published.csv --out scores.csv
"""

from __future__ import annotations

import sys

from tqd_probe.core.command_line import Options, main_guard, parse
from tqd_probe.scoring.run import quarantine_path, score
from tqd_probe.scoring.score_table import summary_path
from tqd_probe.scoring.settings import ScoreSettings
from tqd_probe.scoring.summary import format_summary

PROGRAM = "python -m tqd_probe.score"


class ScoreOptions(ScoreSettings, Options):  # type: ignore[misc]
    """Score clips for motion and visual quality, or convert published scores.

    Writes a table with the columns video, mq, vq (in [0, 1]), mq_raw, vq_raw,
    components and class, which serves as a manifest, and OUT.summary.json, which says
    how it came about. Without weights the scores are proxies: motion = amount x
    smoothness x (1 - duplicates), visual = sharpness x cleanness x evenness x contrast.
    The same command resumes a run that was stopped.

    Published files that are known with --from: VideoAlign, Koala-36M, OpenVid-1M,
    Panda-70M, VideoFeedback, DOVER, VBench, NeMo Curator, Data-Juicer, and tables with
    columns mq and vq. Try it: --clips synthetic:24 --out scores.csv
    """


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Arguments; those of the process by default.

    Returns:
        Exit code: 0, or 2 after a one-line error.
    """
    with main_guard() as outcome:
        options = parse(ScoreOptions, argv, PROGRAM)
        summary = score(options)
        print(format_summary(summary))
        print(options.out)
        print(summary_path(options.out))
        if summary["quarantined"]:
            print(quarantine_path(options.out))
    return outcome.code


if __name__ == "__main__":
    sys.exit(main())
