"""Run the studies of what the paper asks, one after the other, resumably.

    python -m analyses.run_all --work /tmp/evidence             # overnight on two cores
    python -m analyses.run_all --reduced --work /tmp/reduced    # under 20 minutes
    python -m analyses.run_all --list

A step that has finished with the same command and the same script is skipped; one that
was killed goes on where it was, since every script resumes. The full version writes
into `analyses/*/results` and `figures`; the reduced one into copies of these folders in
the working folder, so that it never replaces results that took a night. The reduced
version trains no `tiny`: without `--trained` it starts from the shipped checkpoint and
leaves out what needs the step files of its training.
"""

from __future__ import annotations

import ast
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from analyses.results_file import run_script, script_parser
from analyses.steps import Step, steps
from tqd_probe.core.errors import InputError
from tqd_probe.core.files import digest, file_digest, read_json, write_json

ROOT = Path(__file__).resolve().parents[1]


def signature(step: Step, place: Path) -> str:
    """Hash what decides a step's outcome: its command, its scripts, and their results.

    Args:
        step: The step.
        place: Folder that holds `analyses` and `figures`.

    Returns:
        A digest; a figure's changes with every results file.
    """
    module = step.command[1]
    files = scripts_of(module, place)
    if module.startswith("figures."):
        files += sorted((place / "analyses").glob("*/results/*"))
    return digest([step.command, [file_digest(path) for path in files]])


def scripts_of(module: str, place: Path) -> list[Path]:
    """Return a module of `analyses` or `figures` and those of them that it imports.

    Args:
        module: Its name, such as ``analyses.tiny.maturity``.
        place: Folder that holds `analyses` and `figures`.

    Returns:
        Files, imported directly or not; none of `tqd_probe`.
    """
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        path = place.joinpath(*waiting.pop().split(".")).with_suffix(".py")
        if path in found or not path.is_file():
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                waiting += [node.module]
                waiting += [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names]
    own = (place / "analyses", place / "figures")
    return sorted(path for path in found if any(path.is_relative_to(o) for o in own))


def main() -> None:
    """Run what has not been run."""
    parser = script_parser(__file__, __doc__)
    parser.add_argument("--work", type=Path, default=Path("runs/evidence"))
    parser.add_argument("--reduced", action="store_true", help="under 20 minutes")
    parser.add_argument(
        "--trained",
        type=Path,
        help="finished --work of tiny/train.py: not trained again (a full run trains"
        " the wider network of the tables there)",
    )
    parser.add_argument("--only", default="", help="part of the names of steps to run")
    parser.add_argument("--list", action="store_true", help="name the steps and end")
    args = parser.parse_args()
    work = args.work.resolve()
    place = work / "reduced" if args.reduced else ROOT
    planned = list(
        steps(place, work, args.trained and args.trained.resolve(), args.reduced)
    )
    chosen = [step for step in planned if args.only in step.name]
    if not chosen:
        raise InputError(f"--only {args.only}: no such step; see --list")
    if args.list:
        for step in chosen:
            print(f"{step.name:36s} python {shlex.join(step.command)}")
        return
    if args.reduced:
        for folder in ("analyses", "figures"):
            shutil.copytree(
                ROOT / folder,
                place / folder,
                dirs_exist_ok=True,
                ignore=shutil.ignore_patterns("results", "*.png", "__pycache__"),
            )
    raise SystemExit(run(chosen, place, work))


def run(chosen: list[Step], place: Path, work: Path) -> int:
    """Run steps, each once.

    Args:
        chosen: The steps.
        place: Folder that holds `analyses` and `figures`.
        work: Working folder; `run_all.json` in it notes what is done.

    Returns:
        0, or the exit status of the step that failed.
    """
    note = work / "run_all.json"
    done: dict[str, Any] = {}
    if note.exists():
        try:
            done = dict(read_json(note, "the notes of run_all"))
        except InputError as error:
            print(f"{error}; delete it to run every step again", file=sys.stderr)
            return 2
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    (work / "logs").mkdir(parents=True, exist_ok=True)
    with tqdm(chosen, unit="step") as bar:
        for step in bar:
            bar.set_postfix_str(step.name)
            key = signature(step, place)
            known = done.get(step.name, {})
            if known.get("key") == key and all(path.exists() for path in step.makes):
                bar.write(f"{step.name}: done before, {known['seconds']:.0f} s")
                continue
            log = work / "logs" / f"{step.name.replace(' ', '_').replace(',', '')}.txt"
            began = time.monotonic()
            with open(log, "w", encoding="utf-8") as handle:
                status = subprocess.run(
                    [sys.executable, *step.command],
                    env=environment,
                    cwd=place,  # whose `analyses` and `figures` are run
                    stdout=handle,
                    stderr=subprocess.STDOUT,
                ).returncode
            seconds = time.monotonic() - began
            missing = [str(path) for path in step.makes if not path.exists()]
            if status or missing:
                reason = f"missing {missing[0]}" if missing and not status else ""
                bar.write(f"{step.name}: failed ({reason or status}); see {log}")
                return status or 1
            done[step.name] = {"key": signature(step, place), "seconds": seconds}
            write_json(note, done)
            bar.write(f"{step.name}: {seconds:.0f} s")
    total = sum(each["seconds"] for each in done.values())
    print(f"{len(chosen)} steps; all that was run took {total / 60:.1f} minutes")
    return 0


if __name__ == "__main__":
    run_script(main)
