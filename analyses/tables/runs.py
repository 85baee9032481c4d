"""The runs of `compare_samplers.py` that `run_all` makes, and their sizes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

# What each run leaves out or keeps: preliminary trials showed the others far worse or
# alike, and this way the runs fit a night.
HALF = "A:logit-normal;A:fitted;A:bands .90;A:floor;per level;joint, floor"
HALF += ";C:logit-normal;bands .98;permuted;same density;class alone"
HALF += ";own;shift 0.5;0.5, bands;density by signal;density by loss;density by gain"
HALF += ";signal, bands;loss, bands;gain, bands"
FEW = "alone;level first;re-measured;logit-normal;fitted;kappa_max 16"  # fewer seeds
SCRATCH = "A:kappa_max 8;B:kappa_max 8;SANA-Video rule;gate by worth;A:mixture, joint"
SCRATCH += ";B:mixture, joint;B:logit-normal;B:bands .95, floor;B:gate by worth, signal"
SCRATCH += ";B:gate by worth, of start;B:mixture, joint, of start"
PLENTY = "A:gate by worth, signal;A:mixture, joint"
# Again with seeds of their own, named before they were run: bands at .95.
AGAIN = "SANA-Video rule;bands .95;B:gate by worth, signal"
OFTEN = "bands .95;bands .98;re-measured"
WIDE = "kappa_max 8;SANA-Video rule;gate by worth;mixture, joint;of start"
LARGER = "B:SANA-Video rule;B:bands .95;B:gate by worth, signal"
LARGER += ";B:bands .95, of start;B:gate by worth, of start"
# What bands gain over the density that they produce (protocol.md).
CONTROLS = "SANA-Video rule;bands .90;permuted;same density;class alone"
BLIND = "logit-normal;family's own;density by signal;density by loss;density by gain"
ON_BLIND = "shift 0.5;density by signal;signal, bands;bands .90"
TILTED = "0.5, bands;signal, bands;bands .90"
LONG = "SANA-Video rule;bands .90;same density"
PRIMARY = "bands .90;same density"
DEFAULT = "blur:3,noise:3,slow:4,freeze:5"  # what a probe takes unless told
PROTOCOL: tuple[Any, ...] = ("--metric", "adam", "--degradations", DEFAULT)
PROTOCOL += ("--controls-of", "bands .90", "--candidate", "bands .90")
PROTOCOL += ("--probe-draws", 2, "--generated", 0, "--first-seed", 40)
SMALL = "kappa_max 8;SANA-Video rule;bands .95;gate by worth, signal;joint"


def table_runs(
    analyses: Path, half: str, reduced: bool
) -> Iterator[tuple[str, tuple[Any, ...], Path]]:
    """Yield the runs.

    Args:
        analyses: The folder of that name, whose results are read and written.
        half: The half-trained checkpoint, or ``tiny`` where that is not at hand.
        reduced: Small sizes.

    Yields:
        Name, options beside ``--trained`` and ``--work``, and results file.
    """
    results = analyses / "worth" / "results" / f"similarity_worth_{half}.json"
    worth = ("--worth", results)

    def run(name: str, *options: Any) -> tuple[str, tuple[Any, ...], Path]:
        out = analyses / "tables" / "results" / f"compare_samplers_{name}.json"
        return name, (*options, *worth, "--results", out), out

    if reduced:
        small: tuple[Any, ...] = ("--golden", 14, "--visual", 25, "--motion", 25)
        small += ("--steps", 20, "--seeds", 2, "--held-out", 12, "--sample-steps", 6)
        small += ("--generated", 4)
        small += ("--probe-clips", 16, "--probe-levels", 6, "--validations", 2)
        small += ("--remeasure", 0)
        parts = ("--ablations", "B", "--only", f"{SMALL};alone")
        yield run(half, "--start", half, *small, "--sets", "A,B", *parts)
        yield run(
            "scratch", "--start", "scratch", *small, "--sets", "B", "--only", SMALL
        )
        return
    yield run(half, "--start", half, "--ablations", "B", "--skip", HALF, "--few", FEW)
    young = ("--measured-on", f"{half},start", "--candidate", "gate by worth")
    young += ("--batch-size", 4, "--steps", 200, "--lr", 2e-3)
    young += ("--generated", 0, "--validations", 2)
    yield run("scratch", "--start", "scratch", *young, "--only", SCRATCH)
    size: tuple[Any, ...] = ("--golden", 300, "--sets", "A,C", "--only", PLENTY)
    yield run("plenty", "--start", half, *size, "--seeds", 3)
    known = ("--candidate", "bands .95")
    size = ("--sets", "A,B", "--only", AGAIN, "--first-seed", 5, "--seeds", 15)
    yield run("again", "--start", half, *size, *known)
    # Bands from four times as many clips, once or again on the way.
    size = ("--sets", "B", "--ablations", "B", "--only", OFTEN, "--probe-clips", 96)
    yield run("often", "--start", half, *size, *known, "--seeds", 3, "--generated", 0)
    size = ("--sets", "B", "--only", WIDE, "--seeds", 3)
    yield run("wide", "--start", "wide", *young, *size)
    size = ("--measured-on", f"{half},start", "--sets", "A,B", "--only", LARGER)
    yield run("larger", "--start", "wide-half", *size, *known, "--generated", 0)
    # Class at level, or the density alone?
    both: tuple[Any, ...] = ("--sets", "A,B", "--only", CONTROLS)
    yield run("controls", "--start", half, *PROTOCOL, *both, "--seeds", 15)
    size = ("--sets", "B", "--only", "bands .90", "--probe-clips", 96, "--seeds", 15)
    yield run("controls_more", "--start", half, *PROTOCOL, *size)
    size = ("--sets", "A,B", "--only", PRIMARY, "--seeds", 8)  # the primary difference
    yield run("controls_large", "--start", "large-half", *PROTOCOL, *size)
    size = (*both, "--seeds", 8)
    yield run("controls_cogvideox", "--start", "cogvideox-half", *PROTOCOL, *size)
    size = ("--sets", "A", "--only", f"{TILTED};density by signal", "--seeds", 8)
    name = "density_bands_cogvideox"
    yield run(name, "--start", "cogvideox-half", *PROTOCOL, *size)
    size = ("--sets", "A,C", "--only", BLIND, "--first-seed", 60, "--seeds", 15)
    yield run("density", "--start", half, *PROTOCOL, *size)
    # A measured density against a hand-set tilt, and bands on it against it alone.
    size = ("--sets", "A,C", "--only", ON_BLIND, "--first-seed", 60, "--seeds", 15)
    yield run("density_bands", "--start", half, *PROTOCOL, *size)
    # Afterwards, not decided beforehand: bands on the tilt, with the same seeds.
    size = ("--sets", "A", "--only", TILTED, "--first-seed", 60, "--seeds", 15)
    yield run("tilted_bands", "--start", half, *PROTOCOL, *size)
    size = ("--sets", "A", "--only", LONG, "--steps", 1200, "--seeds", 5)
    yield run("controls_long", "--start", half, *PROTOCOL, *size)
    # The same with ten times the clips: is it the steps, or clips seen too often?
    many: tuple[Any, ...] = ("--golden", 240, "--visual", 720, "--motion", 720)
    size = ("--sets", "A", "--only", PRIMARY, "--steps", 1200, "--seeds", 5, *many)
    yield run("controls_many", "--start", half, *PROTOCOL, *size)
