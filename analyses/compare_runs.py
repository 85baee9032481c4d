"""Do two runs of a probe give the same numbers?

Compares every number of ``bands.json`` and ``gradsim.json``, provenance aside, and
prints the largest difference and where it is. A text, null or truth value that differs,
and a value that only one run has, count as an infinite difference. Exit code 1 beyond
the tolerance, 2 for bad input.

    python -m analyses.compare_runs RUN_A RUN_B --tolerance 1e-6
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from analyses.results_file import script_parser
from tqd_probe.core.command_line import main_guard
from tqd_probe.core.files import read_json

FILES = ("bands.json", "gradsim.json")
IGNORED = ("provenance",)


def leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield all plain values with their JSON paths.

    Args:
        value: A JSON value.
        path: Its own path.

    Yields:
        Path and number, text, truth value or None; empty lists and objects too.
    """
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from leaves(part, f"{path}.{key}")
    elif isinstance(value, list) and value:
        for index, part in enumerate(value):
            yield from leaves(part, f"{path}.{index}")
    else:
        yield path, value


def difference(one: Any, other: Any) -> float:
    """Return how far two plain values are apart.

    Args:
        one: A value.
        other: The other.

    Returns:
        The absolute difference of two numbers, over the larger one where that exceeds
        1; for other values 0 if they are equal, else infinity.
    """
    numbers = [
        isinstance(value, (int, float)) and not isinstance(value, bool)
        for value in (one, other)
    ]
    if all(numbers):
        return abs(one - other) / max(1.0, abs(one), abs(other))
    return 0.0 if type(one) is type(other) and one == other else math.inf


def compare_runs(first: Path, second: Path) -> tuple[float, str, int]:
    """Compare the files of two runs.

    Args:
        first: A run directory.
        second: Another one.

    Returns:
        The largest difference, where it is, and how many values were compared.
    """
    largest, where, count = 0.0, "nowhere", 0
    for name in FILES:
        values = []
        for run in (first, second):
            content = read_json(run / name, "a file of a run")
            known = {k: v for k, v in content.items() if k not in IGNORED}
            values.append(dict(leaves(known, name)))
        one, other = values
        missing = object()
        for path in one | other:
            count += 1
            gap = difference(one.get(path, missing), other.get(path, missing))
            if gap > largest:
                largest, where = gap, path
    return largest, where, count


def main(argv: list[str] | None = None) -> int:
    """Compare two runs.

    Args:
        argv: Arguments; those of the process by default.

    Returns:
        Exit code: 0 within the tolerance, 1 beyond it, 2 for bad input.
    """
    parser = script_parser(__file__, __doc__)
    parser.add_argument("run_a", type=Path, help="a run directory")
    parser.add_argument("run_b", type=Path, help="another one")
    parser.add_argument("--tolerance", type=float, default=1e-6)
    args = parser.parse_args(argv)
    with main_guard() as outcome:
        largest, where, count = compare_runs(args.run_a, args.run_b)
        print(f"{count} values; largest difference {largest:.3g} at {where}")
        if not largest <= args.tolerance:
            print(f"the runs differ by more than {args.tolerance:g}")
            outcome.code = 1
    return outcome.code


if __name__ == "__main__":
    sys.exit(main())
