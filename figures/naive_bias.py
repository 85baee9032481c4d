"""Draw the plain cosine's error by clip count: `python figures/naive_bias.py`."""

import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

HERE = Path(__file__).parent
rows = json.loads(
    (HERE.parent / "analyses" / "intervals" / "results" / "naive_bias.json").read_text()
)["rows"]
sns.set_theme(context="notebook", style="ticks", font_scale=0.9)
figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
sizes = sorted({row["clips"] for row in rows})
for key, colour, label in (
    ("plain_error", "#D55E00", "plain cosine of mean gradients"),
    ("debiased_error", "#0072B2", "debiased cosine (median)"),
):
    curves = {}
    for row in rows:
        name = (row["sigma"], row["degradation"])
        curves.setdefault(name, {})[row["clips"]] = row[key]
    for curve in curves.values():
        known = [(n, v) for n, v in sorted(curve.items()) if v is not None]
        axes.plot(*zip(*known), color=colour, alpha=0.15, linewidth=0.8)
    means = [
        np.mean([r[key] for r in rows if r["clips"] == n and r[key] is not None])
        for n in sizes
    ]
    axes.plot(sizes, means, "o-", color=colour, linewidth=2.4, label=label)
axes.axhline(0, color="0.5", linewidth=0.8)
axes.set_xscale("log", base=2)
axes.set_xticks(sizes, labels=[str(n) for n in sizes])
axes.set_xlabel("golden clips")
axes.set_ylabel("cosine − debiased cosine of all clips")
axes.set_title(
    "Few clips: the plain cosine errs either way; thin: level × degradation",
    fontsize=10,
)
axes.legend(fontsize=9)
sns.despine(figure)
figure.savefig(HERE / "naive_bias.png", dpi=150)
