"""Draw what a classifier sees beside what gradients say: run without arguments."""

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
        HERE.parent / "analyses" / "tiny" / "results" / "noise_classifier.json"
    ).read_text()
)
levels, found = result["levels"], result["degradations"]
sns.set_theme(context="notebook", style="ticks", font_scale=0.85)
figure, panels = plt.subplots(
    1, len(found), figsize=(2.9 * len(found), 3.6), sharey=True, layout="constrained"
)
for axes, (name, entry) in zip(panels, found.items()):
    cosine = np.array(entry["cosine"], dtype=float)
    axes.plot(
        levels, cosine, "o-", color="#0072B2", markersize=4, label="gradient cosine"
    )
    axes.plot(
        levels,
        entry["accuracy"],
        "s-",
        color="#D55E00",
        markersize=4,
        label="accuracy of a classifier, golden against degraded",
    )
    for low, high in entry["bands"]:
        axes.axvspan(low, high, color="#0072B2", alpha=0.12, linewidth=0)
    axes.axvline(entry["sigma_min"], color="#D55E00", linestyle="--", linewidth=1)
    axes.axhline(0.5, color="0.6", linewidth=0.8, linestyle=":")
    axes.set_title(name, fontsize=10)
    axes.set_xlabel("σ")
    axes.set_xlim(0, 1)
panels[0].set_ylim(-0.1, 1.15)
figure.legend(
    *panels[0].get_legend_handles_labels(),
    loc="outside lower center",
    ncols=2,
    fontsize=9,
    frameon=False,
)
sns.despine(figure)
figure.savefig(HERE / "noise_classifier.png", dpi=150)
