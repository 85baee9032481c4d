"""Draw the bands of seeds and halves of clips: `python figures/stability.py`."""

import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import seaborn as sns

HERE = Path(__file__).parent
rows = json.loads((HERE.parent / "analyses" / "results" / "stability.json").read_text())
found = {(row["degradation"], row["compared"]): row for row in rows["rows"]}
names = list(dict.fromkeys(row["degradation"] for row in rows["rows"]))
sns.set_theme(context="notebook", style="ticks", font_scale=0.85)
figure, panels = plt.subplots(
    1, len(names), figsize=(2.8 * len(names), 3.6), sharey=True, layout="constrained"
)
for axes, name in zip(panels, names):
    whole, halves = found[name, "seeds"], found[name, "halves"]
    for seed, (bands, parts) in enumerate(zip(whole["bands"], halves["bands"])):
        for place, height, colour, some in (
            (seed, 0.34, "#0072B2", bands),
            (seed + 0.26, 0.12, "#E69F00", parts[0]),
            (seed + 0.42, 0.12, "#E69F00", parts[1]),
        ):
            for low, high in some:
                axes.barh(place, high - low, height, low, color=colour, linewidth=0)
    axes.set_xlim(0, 1)
    axes.set_title(
        f"{name}\nwithin 0.07: seeds {whole['within_0.07']:.0%},"
        f" halves {halves['within_0.07']:.0%}",
        fontsize=9,
    )
    axes.set_xlabel("σ")
    axes.grid(axis="x", alpha=0.4)
panels[0].set_yticks(range(len(whole["bands"])))
panels[0].set_ylabel("seed")
panels[0].invert_yaxis()
handles = [plt.Rectangle((0, 0), 1, 1, color=c) for c in ("#0072B2", "#E69F00")]
figure.legend(
    handles, ["bands of all clips", "of either half"], loc="outside lower center",
    ncols=2, fontsize=9, frameon=False,
)  # fmt: skip
sns.despine(figure)
figure.savefig(HERE / "stability.png", dpi=150)
