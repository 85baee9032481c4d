"""Draw paired differences of golden loss by sampler, set by set."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt

from figures.helpers import (
    FIRST,
    REFERENCE,
    SECOND,
    THIRD,
    all_results_of,
    figure_parser,
    save,
    set_style,
)

COLOURS = {"baseline": "0.3", "hand-set": FIRST, "measured": SECOND, "ablation": THIRD}
COLOURS["control"] = "0.6"


def rows_of(result: dict[str, Any], letter: str) -> list[dict[str, Any]]:
    """Return the rows of one set."""
    return [row for row in result["rows"] if row["set"] == letter]


def draw_set(axes: plt.Axes, result: dict[str, Any], letter: str) -> None:
    """Draw the samplers of one set against uniform sampling."""
    rows = rows_of(result, letter)
    beside = "A" if rows_of(result, "A") else letter  # the set of the baseline
    base = next(r for r in rows_of(result, beside) if r["sampler"] == "uniform")
    key = "against_uniform_on_A" if beside == "A" else "against_uniform"
    for place, row in enumerate(reversed(rows)):
        if "refused" in row:
            axes.text(0, place, "cannot train", fontsize=8, va="center")
            continue
        gap, colour = row.get(key), COLOURS[row["kind"]]
        axes.plot(row["loss"] - base["loss"], place, "o", color=colour)
        if gap:
            axes.plot([gap["low"], gap["high"]], [place] * 2, color=colour)
    names = [row["sampler"] for row in reversed(rows)]
    axes.set_yticks(range(len(rows)), names, fontsize=8)
    axes.axvline(0, **REFERENCE)
    clips = ", ".join(f"{n} {k}" for k, n in result["sets"][letter].items())
    axes.set_title(f"Set-{letter}: {clips}", fontsize=8)
    where = "Set-A" if beside == "A" else "this set"
    axes.set_xlabel(f"golden loss minus uniform's on {where}")
    axes.locator_params(axis="x", nbins=4)


def main() -> None:
    """Draw the figure, a row for each run of the study."""
    figure_parser(__file__, __doc__).parse_args()
    results = all_results_of("tables.compare_samplers")
    set_style()
    heights = [
        1.4 + 0.2 * max(len(rows_of(result, letter)) for letter in "ABC")
        for result in results.values()
    ]
    figure, panels = plt.subplots(
        len(results),
        3,
        figsize=(13, sum(heights)),
        height_ratios=heights,
        layout="constrained",
        squeeze=False,
        sharex="row",
    )
    for row, (name, result) in zip(panels, results.items()):
        drawn = []
        for axes, letter in zip(row, "ABC"):
            if rows_of(result, letter):
                draw_set(axes, result, letter)
                drawn.append(axes)
            else:
                axes.set_axis_off()
        drawn[0].set_ylabel(
            f"{name}\nfrom {result['start']}\n"
            f"{result['steps']} steps\n{result['seeds']} seeds",
            fontsize=9,
        )
    handles = [
        plt.Line2D([], [], color=colour, marker="o", label=kind)
        for kind, colour in COLOURS.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
    save(figure, "compare_samplers")


if __name__ == "__main__":
    main()
