"""Run the studies of what the paper asks, one after the other, resumably.

    python -m analyses.run_all --work /tmp/evidence             # overnight on two cores
    python -m analyses.run_all --reduced --work /tmp/reduced    # under 20 minutes
    python -m analyses.run_all --list

A step that has finished with the same command and the same script is skipped; one that
was killed goes on where it was, since every script resumes. The full version writes
into `analyses/results` and `figures`; the reduced one into copies of these folders in
the working folder, so that it never replaces results that took a night. The reduced
version trains no `tiny`: without `--trained` it starts from the shipped checkpoint and
leaves out what needs the step files of its training.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tqd_probe.errors import InputError
from tqd_probe.files import digest, file_digest, read_json, write_json

ROOT = Path(__file__).resolve().parents[1]
STEP_FILES = (500, 1000, 1500, 2000, 2500, 3000, 3500)


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
        name: Its name.
        command: What follows ``python``.
        makes: Files that are there when it has been done.
    """

    name: str
    command: list[str]
    makes: list[Path]


def steps(
    place: Path, work: Path, trained: Path | None, reduced: bool
) -> Iterator[Step]:
    """Yield the steps in order.

    Args:
        place: Folder that holds `analyses` and `figures`.
        work: Working folder.
        trained: Working folder of `train_tiny.py`, if the model has been trained.
        reduced: Small sizes.

    Yields:
        The steps.
    """
    results, figures = place / "analyses" / "results", place / "figures"

    def script(name: str, *options: Any) -> list[str]:
        return [str(place / "analyses" / f"{name}.py"), *map(str, options)]

    def draw(name: str, *pictures: str) -> Step:
        made = [figures / f"{each}.png" for each in pictures or (name,)]
        return Step(f"figure {name}", [str(figures / f"{name}.py")], made)

    if trained is None and not reduced:
        trained = work / "train_tiny"
        copy = work / "tiny"
        each = ("--work", trained, "--out", copy)
        yield Step(
            "train the decoder of tiny",
            script("train_tiny", *each, "--stage", "decoder"),
            [trained / "decoder.pt"],
        )
        yield Step(
            "train tiny",
            script("train_tiny", *each, "--stage", "transformer"),
            [trained / f"step-{step:05d}.pt" for step in STEP_FILES],
        )
    # 1: hierarchical learning dynamics
    size: tuple[Any, ...] = ("--trained", trained, "--work", work / "dynamics")
    if reduced:
        size += ("--clips", 8, "--levels", "0.05,0.25,0.45,0.65,0.85")
        size += ("--steps", "500,1000,2000,3500")
    if trained is not None:
        yield Step(
            "learning dynamics",
            script("learning_dynamics", *size),
            [results / "learning_dynamics.json"],
        )
        yield draw("learning_dynamics")
    # 2: gradient analysis, and whether it predicts what training achieves
    run = work / "gradsim"
    size = ("--num-clips", 12, "--draws", 1, "--levels", 5) if reduced else ()
    probe = ["-m", "tqd_probe.gradsim", "--ckpt", "tiny", "--out", str(run)]
    yield Step("probe tiny", [*probe, *map(str, size)], [run / "bands.json"])
    for name in ("tiny_effect", "module_bands"):
        yield Step(name, script(name, run), [results / f"{name}.json"])
    yield draw("module_bands")
    size = ("--run", work / "severity")
    if reduced:
        size += ("--names", "blur,freeze", "--levels", "0.15,0.85", "--clips", 8)
    yield Step(
        "severity curves",
        script("severity_curves", *size),
        [results / "severity_curves.json"],
    )
    yield draw("severity_curves")
    size = ("--trained", trained, "--work", work / "maturity")
    if reduced:
        size += ("--steps", "500,3500", "--levels", 3, "--clips", 8)
        size += ("--degradations", "blur:3,freeze:5")
    if trained is not None:
        yield Step("maturity", script("maturity", *size), [results / "maturity.json"])
        yield draw("maturity")
    given = ("--trained", trained) if trained is not None else ()
    half = "half" if trained is not None else "tiny"
    for start in (half,) if reduced else ("half", "tiny"):
        size = ("--start", start, *given, "--work", work / "worth")
        if reduced:
            size += ("--degradations", "blur:3,noise:3,freeze:5,slow:4")
            size += ("--levels", "0.1,0.3,0.5,0.7,0.9", "--probe-clips", 16)
            size += ("--held-out", 16, "--train-clips", 32, "--steps", 16)
            size += ("--look", 4, "--seeds", 2)
        yield Step(
            f"worth of similarity, from {start}",
            script("similarity_worth", *size),
            [results / f"similarity_worth_{start}.json"],
        )
    yield draw("similarity_worth")
    # 3: TQD against baselines
    for start in (half, "scratch"):
        size = ("--start", start, *given, "--work", work / "tables")
        if reduced:
            size += ("--golden", 14, "--visual", 25, "--motion", 25, "--steps", 20)
            size += ("--seeds", 2, "--held-out", 12, "--generated", 8)
            size += ("--sample-steps", 6, "--probe-clips", 16, "--probe-draws", 1)
            size += ("--probe-levels", 6)
            size += ("--validations", 2)
            size += ("--sets", "A,B") if start == "scratch" else ("--ablations", "A")
            size += ("--remeasure", 0)
        elif start == "scratch":
            size += ("--steps", 1500, "--lr", 1.5e-3)
        else:
            size += ("--ablations", "A,B")
        yield Step(
            f"tables, from {start}",
            script("tqd_tables", *size),
            [results / f"tqd_tables_{start}.json"],
        )
    yield draw("tqd_tables")


def signature(step: Step, place: Path) -> str:
    """Hash what decides a step's outcome: its command and the scripts."""
    if step.command[0] == "-m":
        scripts = []
    elif Path(step.command[0]).parent.name == "figures":
        scripts = [Path(step.command[0]), *(place / "analyses" / "results").glob("*")]
    else:
        scripts = _used(Path(step.command[0]))
    return digest([step.command, [file_digest(path) for path in scripts]])


def _used(script: Path) -> list[Path]:
    """Return a script and its neighbours that it imports, directly or not."""
    found, waiting = [], [script]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.append(path)
        for line in path.read_text(encoding="utf-8").splitlines():
            words = line.split()
            if words[:1] in (["from"], ["import"]) and len(words) > 1:
                near = path.with_name(f"{words[1]}.py")
                waiting += [near] if near.exists() else []
    return sorted(found)


def main() -> None:
    """Run what has not been run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("runs/evidence"))
    parser.add_argument("--reduced", action="store_true", help="under 20 minutes")
    parser.add_argument(
        "--trained",
        type=Path,
        help="finished --work of train_tiny.py: not trained again",
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
        raise SystemExit(f"--only {args.only}: no such step; see --list")
    if args.list:
        for step in chosen:
            print(f"{step.name:36s} python {' '.join(step.command)}")
        return
    if args.reduced:
        for folder in ("analyses", "figures"):
            shutil.copytree(
                ROOT / folder, place / folder, dirs_exist_ok=True,
                ignore=shutil.ignore_patterns("results", "*.png", "__pycache__"),
            )  # fmt: skip
        (place / "analyses" / "results").mkdir(exist_ok=True)
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
                    [sys.executable, *step.command], env=environment, cwd=ROOT,
                    stdout=handle, stderr=subprocess.STDOUT,
                ).returncode  # fmt: skip
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
    main()
