"""Draw cosines of raw gradients and in Adam's metric: run without arguments."""

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
        HERE.parent / "analyses" / "intervals" / "results" / "metric_effect.json"
    ).read_text()
)
levels, found = result["levels"], result["degradations"]
sns.set_theme(context="notebook", style="ticks", font_scale=0.85)
figure, panels = plt.subplots(
    2,
    len(found),
    figsize=(2.7 * len(found), 5.4),
    sharex=True,
    sharey="row",
    layout="constrained",
)
for column, (name, entry) in enumerate(found.items()):
    for metric, colour in (("raw", "#0072B2"), ("adam", "#D55E00")):
        for row, key in enumerate(("cosine", "norm_ratio")):
            values = np.array(entry[metric][key], dtype=float)
            panels[row][column].plot(
                levels, values, "o-", color=colour, markersize=4, label=metric
            )
    panels[0][column].set_title(name, fontsize=10)
    panels[0][column].axhline(0.9, color="0.6", linewidth=0.8, linestyle=":")
    panels[1][column].axhline(1, color="0.6", linewidth=0.8, linestyle=":")
    panels[1][column].set_xlabel("σ")
panels[0][0].set_ylabel("debiased gradient cosine")
panels[1][0].set_ylabel("norm ratio")
panels[1][0].set_yscale("log")
panels[0][0].legend(title="metric", fontsize=8)
sns.despine(figure)
figure.savefig(HERE / "metric_effect.png", dpi=150)
