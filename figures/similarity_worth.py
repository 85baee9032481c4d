"""Draw predicted against achieved: `python figures/similarity_worth.py`."""

import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

HERE = Path(__file__).parent
WANTED = "share of golden gain"
LIMITS = (-1.6, 1.6)  # farther points are drawn at the edge
paths = sorted(
    (HERE.parent / "analyses" / "worth" / "results").glob("similarity_worth_*.json")
)
sns.set_theme(context="notebook", style="ticks", font_scale=0.85)
figure, panels = plt.subplots(
    len(paths),
    3,
    figsize=(13.5, 4.3 * len(paths)),
    layout="constrained",
    squeeze=False,
    width_ratios=(1.2, 1.2, 1),
)
for row, path in enumerate(paths):
    result = json.loads(path.read_text())
    points = [p for p in result["points"] if p["used"]]
    names = list(dict.fromkeys(p["degradation"] for p in result["points"]))
    marks = dict(zip(names, "osD^vP*XhpH8<>"))
    levels = result["levels"]
    colours = dict(zip(levels, sns.color_palette("viridis", len(levels))))
    for axes, key in zip(panels[row], ("cosine", "latent distance over noise")):
        for point in points:
            x, y = point["predicted"][key], point["achieved"][WANTED]
            low, high = point["share_ci"]
            shown = float(np.clip(y, *LIMITS))
            style = {"color": colours[point["sigma"]], "markersize": 6}
            axes.errorbar(
                -x if key != "cosine" else x,
                shown,
                yerr=[[max(y - low, 0)], [max(high - y, 0)]] if shown == y else None,
                fmt=marks[point["degradation"]],
                elinewidth=0.7,
                alpha=0.9,
                **style,
            )
        found = result["correlations"][WANTED][key]
        low, high = found["degradations_ci"] or (np.nan, np.nan)
        axes.set_title(
            f"{key}: rank correlation {found['spearman']:.2f} [{low:.2f}, {high:.2f}]",
            fontsize=10,
        )
        axes.axhline(1, color="0.6", linewidth=0.8, linestyle=":")
        axes.axhline(0, color="0.6", linewidth=0.8)
        axes.set_ylim(LIMITS[0] - 0.1, LIMITS[1] + 0.1)
    panels[row][0].set_xlabel("gradient cosine with golden, before training")
    panels[row][1].set_xlabel("distance in the latents over the noise")
    panels[row][1].set_xscale("log")
    panels[row][0].set_ylabel(
        f"from {result['start']}, {result['steps']} steps:\nshare of golden clips' gain"
    )
    by_level = [
        plt.Line2D([], [], marker="o", linestyle="", color=c, label=f"σ {s:g}")
        for s, c in colours.items()
    ]
    by_name = [
        plt.Line2D([], [], marker=m, linestyle="", color="0.4", label=n)
        for n, m in marks.items()
    ]
    panels[row][1].legend(
        handles=by_level + by_name, fontsize=7, frameon=False, ncols=2, loc="lower left"
    )
    bars = panels[row][2]
    table = result["correlations"][WANTED]
    for place, one in enumerate(reversed(table.values())):
        if one["spearman"] is None:
            continue
        for ends, width, shift in (
            (one["degradations_ci"], 1.2, 0.12),
            (one["measured_ci"], 3.2, -0.12),
        ):
            if ends:
                bars.plot(ends, [place + shift] * 2, color="#0072B2", linewidth=width)
        bars.plot(one["spearman"], place, "o", color="#D55E00")
    bars.set_yticks(range(len(table)), list(reversed(table)), fontsize=8)
    bars.axvline(0, color="0.6", linewidth=0.8)
    bars.set_xlabel(
        "rank correlation with the share, 95 %\nthick: measured, thin: degradations"
    )
    bars.set_title(
        f"{result['pairs_used']} of {result['pairs']} pairs, {result['seeds']} seeds",
        fontsize=10,
    )
sns.despine(figure)
figure.savefig(HERE / "similarity_worth.png", dpi=150)
