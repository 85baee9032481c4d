"""The studies that `run_all` runs: which command, in which order, at which size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analyses.tables.runs import table_runs

STEP_FILES = (500, 1000, 1500, 2000, 2500, 3000, 3500)  # of train.py
WIDE_STEP = (
    1000  # of the wider network, which `wide-half` of start_checkpoints.py asks for
)
WORTH = ("--levels", "0.1,0.3,0.5,0.7,0.9", "--degradations")
# 40 pairs, three seeds of 24 steps: half an hour or more from each start; and fewer.
WORTH_SHOWN = (
    *WORTH,
    "blur:2,blur:4,noise:3,downscale:4,freeze:3,freeze:5,slow:4,shuffle:3",
    "--probe-clips",
    24,
    "--held-out",
    24,
    "--train-clips",
    48,
    "--steps",
    24,
    "--look",
    6,
    "--seeds",
    3,
)
WORTH_REDUCED = (
    *WORTH,
    "blur:3,noise:3,freeze:5,slow:4",
    "--probe-clips",
    16,
    "--held-out",
    16,
    "--train-clips",
    32,
    "--steps",
    16,
    "--look",
    4,
    "--seeds",
    2,
)
COGVIDEOX_STEPS = (500, 1000, 2000, 2500)  # of train_cogvideox.py, those probed
LEVELS = "0.05,0.15,0.25,0.35,0.45,0.55,0.65,0.75,0.85,0.95"
DEGRADATIONS = "blur:3,noise:3,downscale:3,freeze:3,freeze:5"


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
        trained: Working folder of `train.py`, if the model has been trained.
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
        each = ("--work", trained)
        yield Step(
            "train the decoder of tiny",
            script("train_tiny", *each, "--stage", "decoder"),
            [trained / "decoder.pt"],
        )
        yield Step(
            "train tiny",
            script("train_tiny", *each, "--stage", "transformer", "--out", copy),
            [trained / f"step-{step:05d}.pt" for step in STEP_FILES],
        )
    if not reduced:
        yield Step(
            "train a wider tiny for the tables",
            script(
                *("train_tiny", "--work", trained, "--stage", "wide"),
                *("--steps", WIDE_STEP),
            ),
            [trained / f"heads6-step-{WIDE_STEP:05d}.pt"],
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
    if not reduced:
        yield from _more_probes(place, work, run)
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
    if not reduced:
        yield from _second_architecture(place, work)
    given = ("--trained", trained) if trained is not None else ()
    half = "half" if trained is not None else "tiny"
    for start in (half,) if reduced else ("half", "tiny"):
        size = ("--start", start, *given, "--work", work / "worth")
        size += WORTH_REDUCED if reduced else WORTH_SHOWN
        yield Step(
            f"worth of similarity, from {start}",
            script("similarity_worth", *size),
            [results / f"similarity_worth_{start}.json"],
        )
    yield draw("similarity_worth")
    # 3: TQD against baselines
    for name, size, made in table_runs(results, half, reduced):
        size += (*given, "--work", work / "tables")
        yield Step(f"tables, {name}", script("compare_samplers", *size), [made])
    yield draw("compare_samplers")


def _more_probes(place: Path, work: Path, run: Path) -> Iterator[Step]:
    """Yield real clips, and Adam's metric beside the raw one."""
    figures = place / "figures"
    real, run_real, run_adam = work / "real_clips", work / "gradsim_real", work / "adam"
    yield Step(
        "make real clips",
        [str(place / "analyses" / "make_real_clips.py"), "--out", str(real)],
        [real],
    )
    probe = ["-m", "tqd_probe.gradsim", "--ckpt", "tiny", "--out"]
    yield Step(
        "probe real clips",
        [*probe, str(run_real), "--clips", str(real)],
        [run_real / "bands.json"],
    )
    yield Step(
        "figures of real clips",
        [str(figures / "run_figures.py"), str(run_real), "real"],
        [figures / "real_heatmap.png"],
    )
    yield Step(
        "probe tiny in Adam's metric",
        [*probe, str(run_adam), "--metric", "adam"],
        [run_adam / "bands.json"],
    )
    yield Step(
        "metric_effect",
        [str(place / "analyses" / "metric_effect.py"), str(run), str(run_adam)],
        [place / "analyses" / "results" / "metric_effect.json"],
    )
    made = [figures / "metric_effect.png"]
    yield Step("figure metric_effect", [str(figures / "metric_effect.py")], made)


def _second_architecture(place: Path, work: Path) -> Iterator[Step]:
    """Yield a tiny CogVideoX trained as `tiny` is, and the gradient study on it."""
    results, figures = place / "analyses" / "results", place / "figures"
    trained, ckpt = work / "train_cogvideox", work / "tiny_cogvideox"

    def study(title: str, name: str, *options: Any, suffix: str = "_cogvideox") -> Step:
        made = results / f"{name}{suffix}.json"
        script = str(place / "analyses" / f"{name}.py")
        return Step(title, [script, *map(str, options), "--out", str(made)], [made])

    def draw(name: str, suffix: str = "cogvideox") -> Step:
        command = [str(figures / f"{name}.py"), *([suffix] if suffix else [])]
        made = figures / f"{'_'.join(filter(None, (name, suffix)))}.png"
        return Step(f"figure {name} {suffix}".strip(), command, [made])

    train = [str(place / "analyses" / "train_cogvideox.py")]
    train += ["--work", str(trained), "--out", str(ckpt), "--stage"]
    yield Step(
        "train the decoder of the tiny CogVideoX",
        [*train, "decoder"],
        [trained / "decoder.pt"],
    )
    yield Step(
        "train the tiny CogVideoX",
        [*train, "transformer"],
        [ckpt / "model_index.json", results / "train_cogvideox.json"],
    )
    run = work / "gradsim_cogvideox"
    probe = ["-m", "tqd_probe.gradsim", "--ckpt", str(ckpt), "--out", str(run)]
    probe += ["--levels", LEVELS, "--degradations", DEGRADATIONS]
    yield Step("probe the tiny CogVideoX", probe, [run / "bands.json"])
    yield study(
        "two architectures", "two_architectures", work / "gradsim", run, suffix=""
    )
    yield draw("two_architectures", "")
    yield Step(
        "figures of the tiny CogVideoX",
        [str(figures / "run_figures.py"), str(run), "cogvideox"],
        [figures / "cogvideox_heatmap.png"],
    )
    yield study("module bands of the tiny CogVideoX", "module_bands", run)
    yield draw("module_bands")
    size = ("--ckpt", ckpt, "--run", work / "severity_cogvideox")
    yield study("severity curves of the tiny CogVideoX", "severity_curves", *size)
    yield draw("severity_curves")
    size = ("--ckpt", ckpt, "--trained", trained, "--work", work / "maturity_cogvideox")
    size += ("--steps", ",".join(map(str, COGVIDEOX_STEPS)))
    yield study("maturity of the tiny CogVideoX", "maturity", *size)
    yield draw("maturity")
