"""Draw paired differences of golden loss, set by set: run without arguments."""

import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import seaborn as sns

HERE = Path(__file__).parent
COLOURS = {
    "baseline": "0.3",
    "hand-set": "#0072B2",
    "measured": "#D55E00",
    "ablation": "#009E73",
}
paths = sorted(
    (HERE.parent / "analyses" / "tables" / "results").glob("compare_samplers_*.json")
)
sns.set_theme(context="notebook", style="ticks", font_scale=0.85)
results = [json.loads(path.read_text()) for path in paths]
tallest = [
    max(sum(row["set"] == letter for row in result["rows"]) for letter in "ABC")
    for result in results
]
figure, panels = plt.subplots(
    len(paths),
    3,
    figsize=(13, sum(1.4 + 0.2 * rows for rows in tallest)),
    height_ratios=[1.4 + 0.2 * rows for rows in tallest],
    layout="constrained",
    squeeze=False,
    sharex="row",
)
for line, (path, result) in enumerate(zip(paths, results)):
    on_a = any(r["set"] == "A" for r in result["rows"])
    shown = []
    for axes, letter in zip(panels[line], "ABC"):
        rows = [r for r in result["rows"] if r["set"] == letter]
        if not rows:
            axes.set_axis_off()
            continue
        shown.append(axes)
        base = next(
            r["loss"]
            for r in result["rows"]
            if r["sampler"] == "uniform" and r["set"] == ("A" if on_a else letter)
        )
        for place, row in enumerate(reversed(rows)):
            if "refused" in row:
                axes.text(0, place, "cannot train", fontsize=8, va="center")
                continue
            gap = row.get("against_uniform_on_A" if on_a else "against_uniform")
            colour = COLOURS[row["kind"]]
            axes.plot(row["loss"] - base, place, "o", color=colour)
            if gap:
                axes.plot([gap["low"], gap["high"]], [place] * 2, color=colour)
        names = [row["sampler"] for row in reversed(rows)]
        axes.set_yticks(range(len(rows)), names, fontsize=8)
        axes.axvline(0, color="0.6", linewidth=0.8)
        clips = ", ".join(f"{n} {k}" for k, n in result["sets"][letter].items())
        axes.set_title(f"Set-{letter}: {clips}", fontsize=8)
        axes.set_xlabel(
            f"golden loss minus uniform's on {'Set-A' if on_a else 'this set'}"
        )
        axes.locator_params(axis="x", nbins=4)
    shown[0].set_ylabel(
        f"{path.stem.removeprefix('compare_samplers_')}\nfrom {result['start']}\n"
        f"{result['steps']} steps\n{result['seeds']} seeds",
        fontsize=9,
    )
handles = [
    plt.Line2D([], [], color=colour, marker="o", label=kind)
    for kind, colour in COLOURS.items()
]
figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
sns.despine(figure)
figure.savefig(HERE / "compare_samplers.png", dpi=150)
