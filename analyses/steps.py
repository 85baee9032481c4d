"""The studies that `run_all` runs: which command, in which order, at which size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analyses.tables.runs import table_runs

STEP_FILES = (500, 1000, 1500, 2000, 2500, 3000, 3500)  # of tiny/train.py
WIDE_STEP = 1000  # of the wider network, which `wide-half` starts from
LEVELS_OF_WORTH = "0.1,0.3,0.5,0.7,0.9"
# 40 pairs, three seeds of 24 steps: half an hour or more from each start; and fewer.
WORTH = {
    "degradations": "blur:2,blur:4,noise:3,downscale:4,freeze:3,freeze:5,slow:4,"
    "shuffle:3",
    "probe-clips": 24,
    "held-out": 24,
    "train-clips": 48,
    "steps": 24,
    "look-ahead": 6,
    "seeds": 3,
}
WORTH_REDUCED = {
    "degradations": "blur:3,noise:3,freeze:5,slow:4",
    "probe-clips": 16,
    "held-out": 16,
    "train-clips": 32,
    "steps": 16,
    "look-ahead": 4,
    "seeds": 2,
}
COGVIDEOX_STEPS = "500,1000,2000,2500"  # of tiny/train_cogvideox.py, those probed
LEVELS = "0.05,0.15,0.25,0.35,0.45,0.55,0.65,0.75,0.85,0.95"
DEGRADATIONS = "blur:3,noise:3,downscale:3,freeze:3,freeze:5"
# Of probes that say nothing else: what the studies' stored results were made with.
PROBE = {"metric": "raw", "degradations": "blur:3,noise:3,downscale:3,freeze:5"}


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


def options(**values: Any) -> list[str]:
    """Return options as words of a command line.

    Args:
        **values: Values by name; None leaves an option out.

    Returns:
        ``--name value`` for each.
    """
    words: list[str] = []
    for name, value in values.items():
        if value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return words


@dataclass(frozen=True)
class Suite:
    """Where the studies run and write.

    Attributes:
        place: Folder that holds `analyses` and `figures`.
        work: Working folder.
        trained: Working folder of `tiny/train.py`; None if `tiny` is not trained.
        reduced: Small sizes.
    """

    place: Path
    work: Path
    trained: Path | None
    reduced: bool

    def results(self, study: str, suffix: str = "") -> Path:
        """Return the results file of a study.

        Args:
            study: Its folder and name, such as ``tiny.maturity``.
            suffix: What the file's name ends with beside the study's.

        Returns:
            The path.
        """
        folder, _, name = study.partition(".")
        return self.place / "analyses" / folder / "results" / f"{name}{suffix}.json"

    def study(
        self, name: str, study: str, words: list[Any], makes: list[Path] | None = None
    ) -> Step:
        """Return the step of a study, which makes its results file by default."""
        command = ["-m", f"analyses.{study}", *map(str, words)]
        return Step(name, command, makes or [self.results(study)])

    def figure(self, name: str, suffix: str = "") -> Step:
        """Return the step of a figure; the suffix names another model's."""
        made = self.place / "figures" / f"{name}{suffix and '_'}{suffix}.png"
        words = [suffix] if suffix else []
        command = ["-m", f"figures.{name}", *words]
        return Step(f"figure {name} {suffix}".strip(), command, [made])

    def probe(self, name: str, run: Path, **values: Any) -> Step:
        """Return the step of a probe into a run directory."""
        words = options(**{"ckpt": "tiny"} | PROBE | values, out=run)
        command = ["-m", "tqd_probe.gradsim", *words]
        return Step(name, command, [run / "bands.json"])

    def run_figures(self, name: str, run: Path, prefix: str) -> Step:
        """Return the step that draws a run's own figures."""
        made = self.place / "figures" / f"{prefix}_heatmap.png"
        return Step(name, ["-m", "figures.run_figures", str(run), prefix], [made])


def steps(
    place: Path, work: Path, trained: Path | None, reduced: bool
) -> Iterator[Step]:
    """Yield the steps in order.

    Args:
        place: Folder that holds `analyses` and `figures`.
        work: Working folder.
        trained: Working folder of `tiny/train.py`, if the model has been trained.
        reduced: Small sizes.

    Yields:
        The steps.
    """
    given = trained
    if trained is None and not reduced:
        trained = work / "train_tiny"
    suite = Suite(place, work, trained, reduced)
    if given is None and not reduced:
        yield from _train_tiny(suite)
    if not reduced:
        words = options(work=trained, stage="wide", steps=WIDE_STEP)
        made = [trained / f"heads6-step-{WIDE_STEP:05d}.pt"] if trained else []
        yield suite.study(
            "train a wider tiny for the tables", "tiny.train", words, made
        )
    # 1: hierarchical learning dynamics
    if trained is not None:
        yield from _learning_dynamics(suite)
    # 2: gradient analysis, and whether it predicts what training achieves
    yield from _gradients(suite)
    if not reduced:
        yield from _second_architecture(suite)
    half = "half" if trained is not None else "tiny"
    for start in (half,) if reduced else ("half", "tiny"):
        study = "worth.similarity_worth"
        size = WORTH_REDUCED if reduced else WORTH
        words = options(start=start, trained=trained, work=work / "worth")
        words += options(levels=LEVELS_OF_WORTH, **size)
        made = [suite.results(study, f"_{start}")]
        yield suite.study(f"worth of similarity, from {start}", study, words, made)
    yield suite.figure("similarity_worth")
    # 3: TQD against baselines
    for name, more, path in table_runs(place / "analyses", half, reduced):
        words = [*more, *options(trained=trained, work=work / "tables")]
        yield suite.study(f"tables, {name}", "tables.compare_samplers", words, [path])
    yield suite.figure("compare_samplers")


def _train_tiny(suite: Suite) -> Iterator[Step]:
    """Yield the training of `tiny`."""
    trained = suite.trained or suite.work
    words = options(work=trained, stage="decoder")
    made = [trained / "decoder.pt"]
    yield suite.study("train the decoder of tiny", "tiny.train", words, made)
    words = options(work=trained, stage="transformer", out=suite.work / "tiny")
    made = [trained / f"step-{step:05d}.pt" for step in STEP_FILES]
    yield suite.study("train tiny", "tiny.train", words, made)


def _learning_dynamics(suite: Suite) -> Iterator[Step]:
    """Yield what is learned when."""
    words = options(trained=suite.trained, work=suite.work / "dynamics")
    if suite.reduced:
        words += options(clips=8, levels="0.05,0.25,0.45,0.65,0.85")
        words += options(steps="500,1000,2000,3500")
    yield suite.study("learning dynamics", "tiny.learning_dynamics", words)
    yield suite.figure("learning_dynamics")


def _gradients(suite: Suite) -> Iterator[Step]:
    """Yield the probe of `tiny` and what is read from it."""
    run = suite.work / "gradsim"
    size = {"num-clips": 12, "draws": 1, "levels": 5} if suite.reduced else {}
    yield suite.probe("probe tiny", run, **size)
    yield suite.study("cosine trend", "tiny.cosine_trend", [str(run)])
    yield suite.study("module bands", "tiny.module_bands", [str(run)])
    yield suite.figure("module_bands")
    if not suite.reduced:
        yield from _more_probes(suite, run)
    words = options(run=suite.work / "severity")
    if suite.reduced:
        words += options(names="blur,freeze", levels="0.15,0.85", clips=8)
    yield suite.study("severity curves", "tiny.severity_curves", words)
    yield suite.figure("severity_curves")
    if suite.trained is None:
        return
    words = options(trained=suite.trained, work=suite.work / "maturity")
    if suite.reduced:
        words += options(steps="500,3500", levels=3, clips=8)
        words += options(degradations="blur:3,freeze:5")
    yield suite.study("maturity", "tiny.maturity", words)
    yield suite.figure("maturity")


def _more_probes(suite: Suite, run: Path) -> Iterator[Step]:
    """Yield real clips, and Adam's metric beside the raw one."""
    work = suite.work
    real, run_real, run_adam = work / "real_clips", work / "gradsim_real", work / "adam"
    words = options(out=real)
    yield suite.study("make real clips", "scoring.make_real_clips", words, [real])
    yield suite.probe("probe real clips", run_real, clips=real)
    yield suite.run_figures("figures of real clips", run_real, "real")
    yield suite.probe("probe tiny in Adam's metric", run_adam, metric="adam")
    words = [str(run), str(run_adam)]
    yield suite.study("metric effect", "intervals.metric_effect", words)
    yield suite.figure("metric_effect")


def _second_architecture(suite: Suite) -> Iterator[Step]:
    """Yield a tiny CogVideoX trained as `tiny` is, and the gradient study on it."""
    work = suite.work
    trained, ckpt = work / "train_cogvideox", work / "tiny_cogvideox"
    words = options(work=trained, out=ckpt)
    yield suite.study(
        "train the decoder of the tiny CogVideoX",
        "tiny.train_cogvideox",
        [*words, "--stage", "decoder"],
        [trained / "decoder.pt"],
    )
    yield suite.study(
        "train the tiny CogVideoX",
        "tiny.train_cogvideox",
        [*words, "--stage", "transformer"],
        [ckpt / "model_index.json", suite.results("tiny.train_cogvideox")],
    )
    run = work / "gradsim_cogvideox"
    size = {"ckpt": ckpt, "levels": LEVELS, "degradations": DEGRADATIONS}
    yield suite.probe("probe the tiny CogVideoX", run, **size)
    runs = [str(work / "gradsim"), str(run)]
    yield suite.study("two architectures", "tiny.two_architectures", runs)
    yield suite.figure("two_architectures")
    yield suite.run_figures("figures of the tiny CogVideoX", run, "cogvideox")
    yield from _of_cogvideox(suite, "module_bands", [str(run)])
    words = options(ckpt=ckpt, run=work / "severity_cogvideox")
    yield from _of_cogvideox(suite, "severity_curves", words)
    words = options(ckpt=ckpt, trained=trained, work=work / "maturity_cogvideox")
    words += options(steps=COGVIDEOX_STEPS)
    yield from _of_cogvideox(suite, "maturity", words)


def _of_cogvideox(suite: Suite, name: str, words: list[str]) -> Iterator[Step]:
    """Yield a study of the tiny CogVideoX and its figure."""
    made = suite.results(f"tiny.{name}", "_cogvideox")
    title = f"{name.replace('_', ' ')} of the tiny CogVideoX"
    words = [*words, *options(results=made)]
    yield suite.study(title, f"tiny.{name}", words, [made])
    yield suite.figure(name, "cogvideox")
