"""Both experts of a checkpoint, one after the other, and one picture of the two.

Experts are two networks with parameters of their own, split at a noise level (Wan 2.2
A14B). A cosine across the boundary has no meaning: each is probed over its own range
and gets its own run directory and schedule.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tqd_probe.core.files import read_json
from tqd_probe.core.processes import is_main_process
from tqd_probe.probing.run_directory import run_directory
from tqd_probe.probing.settings import RunSettings
from tqd_probe.schedules.band_schedule import BandSchedule

EXPERTS = ("high", "low")


def probe_both(
    main: Callable[[list[str]], int], settings: RunSettings, argv: list[str]
) -> int:
    """Run a command once per expert, in OUT/high and OUT/low.

    Args:
        main: The command's entry point.
        settings: The parsed options, with ``expert="both"``.
        argv: The arguments they came from.

    Returns:
        Exit code: 0, or that of the first run that failed.
    """
    from tqd_probe.plots.experts import draw_experts

    out = run_directory(settings)
    rest = _without(argv, ("--expert", "--out"))
    for expert in EXPERTS:
        if is_main_process():
            print(f"expert for {expert} noise:", flush=True)
        code = main([*rest, f"--expert={expert}", f"--out={out / expert}"])
        if code:
            return code
    if not settings.plan and is_main_process():
        folders = [out / expert for expert in EXPERTS]
        results = [read_json(f / "gradsim.json", "a run's curves") for f in folders]
        schedules = [BandSchedule.load(f / "bands.json") for f in folders]
        print(draw_experts(results, schedules, Path(out) / "figures"))
    return 0


def _without(argv: list[str], names: tuple[str, ...]) -> list[str]:
    """Drop options and their values from arguments."""
    kept: list[str] = []
    skip = False
    for argument in argv:
        name, equals, _ = argument.partition("=")
        if skip:
            skip = False
        elif name in names:
            skip = not equals
        else:
            kept.append(argument)
    return kept
