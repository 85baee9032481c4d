"""Draw the cosine of the parts of a network.

python figures/module_bands.py               # of tiny
python figures/module_bands.py cogvideox     # of the tiny CogVideoX
"""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import seaborn as sns

HERE = Path(__file__).parent
SUFFIX = "".join(f"_{name}" for name in sys.argv[1:2])
result = json.loads(
    (
        HERE.parent / "analyses" / "tiny" / "results" / f"module_bands{SUFFIX}.json"
    ).read_text()
)
levels, parts = result["levels"], result["parts"]
names = list(next(iter(parts.values()))["degradations"])
sns.set_theme(context="notebook", style="ticks", font_scale=0.85)
figure, panels = plt.subplots(
    1, len(names), figsize=(2.9 * len(names), 3.8), sharey=True, layout="constrained"
)
for axes, name in zip(panels, names):
    for colour, (part, found) in zip(sns.color_palette("colorblind"), parts.items()):
        known = [
            (sigma, value)
            for sigma, value, resolved in zip(
                levels, found["degradations"][name]["cosine"], found["resolved"]
            )
            if resolved and value is not None
        ]
        if known:
            axes.plot(
                *zip(*known),
                "o-",
                color=colour,
                markersize=3.5,
                linewidth=1.3,
                label=part.replace("_", " "),
            )
    axes.axhline(0.9, color="0.6", linewidth=0.8, linestyle=":")
    axes.set_title(name, fontsize=10)
    axes.set_xlabel("σ")
    axes.set_xlim(0, 1)
panels[0].set_ylim(-0.75, 1.15)
panels[0].set_ylabel("debiased gradient cosine")
figure.legend(
    *panels[0].get_legend_handles_labels(),
    loc="outside lower center",
    ncols=6,
    fontsize=8,
    frameon=False,
)
sns.despine(figure)
figure.savefig(HERE / f"module_bands{SUFFIX}.png", dpi=150)
