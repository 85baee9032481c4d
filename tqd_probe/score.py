"""Score clips for motion and visual quality, or convert published scores.

python -m tqd_probe.score --clips CLIPS --out scores.csv
python -m tqd_probe.score --from published.csv --out scores.csv
"""

from __future__ import annotations

import sys
from typing import ClassVar

from tqd_probe.core.command_line import Options, main_guard, parse
from tqd_probe.core.config_file import CONFIG_FILE, write_config
from tqd_probe.scoring.quarantine import quarantine_path
from tqd_probe.scoring.run import score
from tqd_probe.scoring.score_table import summary_path
from tqd_probe.scoring.settings import ScoreSettings
from tqd_probe.scoring.summary import format_summary

PROGRAM = "python -m tqd_probe.score"


class ScoreOptions(ScoreSettings, Options):  # type: ignore[misc]
    """Score clips for motion and visual quality, or convert published scores.

    The table that is written serves as a manifest of the other commands. Without
    weights the scores are proxies: motion = amount x smoothness x (1 - duplicates),
    visual = sharpness x cleanness x evenness x contrast.

    Published files known to --from: VideoAlign, Koala-36M, OpenVid-1M, Panda-70M,
    VideoFeedback, DOVER, VBench, NeMo Curator, Data-Juicer, and tables with columns mq
    and vq. With --clips, the same command resumes a run that was stopped.
    """

    writes: ClassVar[dict[str, str]] = {
        "OUT": "video, mq and vq in [0, 1], mq_raw, vq_raw, components, class",
        "OUT.summary.json": "how scores and classes came about",
        "OUT.run.toml": "the options given; --config replays them",
        "OUT.quarantine.csv": "clips that could not be scored, with reasons",
    }
    example: ClassVar[str] = "--clips synthetic:24 --out scores.csv"


def main(argv: list[str] | None = None, program: str = PROGRAM) -> int:
    """Run the command line.

    Args:
        argv: Arguments; those of the process by default.
        program: How the command was called, for help and errors.

    Returns:
        Exit code: 0, 2 after a one-line error, 130 or 143 when stopped by a signal.
    """
    with main_guard() as outcome:
        options = parse(ScoreOptions, argv, program)
        journal = options.out.with_suffix(".journal.jsonl")
        outcome.resumes = journal.exists if options.clips is not None else False
        summary = score(options)
        config = options.out.with_suffix(f".{CONFIG_FILE}")
        write_config(options, config)
        print(format_summary(summary))
        print(options.out)
        print(summary_path(options.out))
        if summary["quarantined"]:
            print(quarantine_path(options.out))
    return outcome.code


if __name__ == "__main__":
    sys.exit(main())
