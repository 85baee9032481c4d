"""Does measuring a density matter, and do bands add to it? By finished trials.

As the addition to `protocol.md` decides, of the run `density_bands`: the density by the
golden signal against a hand-set tilt to low levels, bands on it against it alone, and
against bands on uniform levels; in pairs of seeds and clips.

    python -m analyses.tables.density_bands --trials DIR/tables/trials-...

Bands on the tilt, of the run `tilted_bands`, were added when these were known. Of
`density_bands_cogvideox`, which has no tilt alone, the last two questions are answered.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from analyses.results_file import run_script, study_parser, write_results
from analyses.tables.density_verdict import shown
from analyses.tables.more_clips import ALPHA, losses
from tqd_probe.statistics.paired_difference import paired_difference

SIGNAL, TILT = "density by signal", "shift 0.5"
ON_SIGNAL, BANDS = "density by signal, bands", "bands .90"
# Question: a sampler, the one it is held against, and the sets it must be better on.
QUESTIONS = {
    "does measuring matter": (SIGNAL, TILT, ("A", "C")),
    "does class selection add": (ON_SIGNAL, SIGNAL, ("A",)),
    "is it the base for bands": (ON_SIGNAL, BANDS, ("A",)),
}
ON_TILT = "shift 0.5, bands"  # compared afterwards, by no decision
COMPARED = {"A": (SIGNAL, TILT, ON_SIGNAL, BANDS, ON_TILT), "C": (SIGNAL, TILT)}

Losses = dict[str, dict[str, dict[int, np.ndarray]]]


def difference(found: Losses, letter: str, name: str, other: str) -> dict[str, Any]:
    """Return a sampler's loss minus another's, with its interval and seeds.

    Args:
        found: Losses ``[clips]`` by set, sampler and seed.
        letter: The set.
        name: The sampler.
        other: The one it is compared with.

    Returns:
        Mean, low and high over seeds and clips; the number of seeds.
    """
    mine, theirs = found[letter][name], found[letter][other]
    seeds = sorted(set(mine) & set(theirs))
    gap = np.stack([mine[seed] - theirs[seed] for seed in seeds])
    return asdict(paired_difference(gap, ALPHA)) | {"seeds": len(seeds)}


def verdict(found: Losses) -> dict[str, Any]:
    """Answer the questions, and compare everything with uniform levels.

    Args:
        found: Losses ``[clips]`` by set, sampler and seed.

    Returns:
        By question whose samplers were run: what was compared, differences by set, and
        whether it is shown. By set and sampler: the difference from uniform. Of bands
        on the tilt, if they were run: the difference from others on Set-A.
    """
    answers = {}
    for question, (name, other, sets) in QUESTIONS.items():
        if not all({name, other} <= found.get(letter, {}).keys() for letter in sets):
            continue
        gaps = {letter: difference(found, letter, name, other) for letter in sets}
        shown_on_all = all(gap["high"] < 0 for gap in gaps.values())
        compared = {"sampler": name, "against": other, "differences": gaps}
        answers[question] = compared | {"shown": shown_on_all}
    against_uniform = {
        letter: {
            name: difference(found, letter, name, "uniform")
            for name in COMPARED[letter]
            if name in found[letter] and name != ON_TILT
        }
        for letter in found
    }
    judged = {"answers": answers, "minus_uniform": against_uniform}
    if ON_TILT in found["A"]:
        judged["afterwards"] = {
            other: difference(found, "A", ON_TILT, other)
            for other in ("uniform", TILT, BANDS, ON_SIGNAL)
            if other in found["A"]
        }
    return judged


def main() -> None:
    """Judge the trials."""
    command = study_parser(__file__, __doc__)
    command.add_argument("--trials", type=Path, required=True, help="finished trials")
    args = command.parse_args()
    found: Losses = {}
    for letter, names in COMPARED.items():
        for name in ("uniform", *names):
            file = f"{letter}-{name}".replace(" ", "_").replace(",", "")
            if any(args.trials.glob(f"{file}-*.json")):
                found.setdefault(letter, {})[name] = losses(args.trials, file)
    judged = verdict(found)
    for question, one in judged["answers"].items():
        for letter, gap in one["differences"].items():
            cells = [question, f"{one['sampler']} - {one['against']}", f"Set-{letter}"]
            cells += [shown(gap), str(gap["seeds"]), "yes" if one["shown"] else "no"]
            print("| " + " | ".join(cells) + " |")
    for letter, rows in judged["minus_uniform"].items():
        for name, gap in rows.items():
            print(f"| {name} - uniform | Set-{letter} | {shown(gap)} |")
    for other, gap in judged.get("afterwards", {}).items():
        print(f"| {ON_TILT} - {other} | Set-A | {shown(gap)} | afterwards |")
    write_results(command, args, judged)


if __name__ == "__main__":
    run_script(main)
