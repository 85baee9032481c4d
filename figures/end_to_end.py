"""Draw density and validation of the trainings of `analyses.tables.end_to_end`.

python -m figures.end_to_end    # figures/train_{density,validation}.png
"""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

from figures.helpers import figure_parser, results_of, save, set_style
from tqd_probe.plots.palette import CLASS_COLOURS, SERIES


def density(runs: list[dict[str, Any]]) -> None:
    """Draw which share of draws each class has at each level, per sampler."""
    figure, axes = plt.subplots(
        1, len(runs), figsize=(2.4 * len(runs), 2.5), sharey=True
    )
    middle = (np.arange(10) + 0.5) / 10
    for place, run in zip(np.atleast_1d(axes), runs):
        total = sum(sum(counts) for counts in run["density"].values())
        under = np.zeros(10)
        for name, counts in run["density"].items():
            share = 10 * np.array(counts) / total
            place.bar(
                middle, share, 0.094, under, color=CLASS_COLOURS[name], label=name
            )
            under += share
        place.set(title=run["sampler"], xlabel="noise level σ", xlim=(0, 1))
    np.atleast_1d(axes)[0].set_ylabel("density of draws")
    np.atleast_1d(axes)[-1].legend(fontsize=6, frameon=False)
    figure.tight_layout()
    save(figure, "train_density")


def validation(runs: list[dict[str, Any]]) -> None:
    """Draw the change of golden held-out loss along the axis, LoRA and full."""
    kinds = list(dict.fromkeys(run["weights"] for run in runs))
    figure, axes = plt.subplots(
        1, len(kinds), figsize=(4.8 * len(kinds), 3.2), squeeze=False
    )
    for place, kind in zip(axes[0], kinds):
        mine = [run for run in runs if run["weights"] == kind]
        colours = sns.color_palette(SERIES, len(mine))
        for number, (run, colour) in enumerate(zip(mine, colours)):
            one = run["classes"]["golden"]
            value = np.array(one["bucket_change"])
            bars = np.abs(np.array(one["bucket_change_ci"]).T - value)
            edges = np.array(run["sigma_edges"])
            at = (edges[1:] + edges[:-1]) / 2 + 0.008 * (number - len(mine) / 2)
            place.errorbar(
                at,
                value,
                bars,
                marker="o",
                ms=3,
                lw=1.2,
                color=colour,
                label=run["sampler"],
            )
        place.axhline(0, color="0.6", lw=0.8)
        title = {"lora": "LoRA", "full": "all weights"}[kind]
        steps = mine[0]["steps"]
        place.set(title=f"{title}, {steps} steps", xlabel="noise level σ", xlim=(0, 1))
    axes[0][0].set_ylabel("change of golden held-out loss")
    axes[0][-1].legend(fontsize=7, frameon=False)
    figure.tight_layout()
    save(figure, "train_validation")


def main() -> None:
    """Draw both figures."""
    figure_parser(__file__, __doc__).parse_args()
    set_style(0.8)
    runs = results_of("tables.end_to_end")["runs"]
    density([run for run in runs if run["weights"] == runs[0]["weights"]])
    validation(runs)


if __name__ == "__main__":
    main()
