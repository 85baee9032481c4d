"""Draw what is learned when, at which noise level: run without arguments."""

import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

HERE = Path(__file__).parent
result = json.loads(
    (
        HERE.parent / "analyses" / "tiny" / "results" / "learning_dynamics.json"
    ).read_text()
)
table, steps, levels = result["error_share"], result["steps"], result["levels"]
sns.set_theme(context="notebook", style="white", font_scale=0.85)
figure, panels = plt.subplots(
    2, 3, figsize=(12, 6.4), sharex=True, sharey=True, layout="constrained"
)
TITLES = {
    "coarse": "below 3 cycles a side",
    "middle": "3 to 8 cycles",
    "fine": "above 8 cycles",
    "still": "mean over frames",
    "change": "differences of frames",
    "flow": "flow inside objects, true velocity",
}
for axes, (name, title) in zip(panels.flat, TITLES.items()):
    values = np.array(table[name]["value"]).T[::-1]
    sns.heatmap(
        values,
        ax=axes,
        vmin=0,
        vmax=1,
        cmap="mako",
        annot=True,
        fmt=".2f",
        annot_kws={"fontsize": 7},
        cbar=axes in panels[:, -1],
        xticklabels=steps,
        yticklabels=[f"{s:g}" for s in levels[::-1]],
        cbar_kws={"label": "share of error left (1: nothing learned)"},
    )
    axes.set_title(f"{name}: {title}", fontsize=10)
for axes in panels[-1]:
    axes.set_xlabel("training step")
for axes in panels[:, 0]:
    axes.set_ylabel("σ")
figure.savefig(HERE / "learning_dynamics.png", dpi=150)
