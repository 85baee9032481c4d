"""Draw what is learned when, at which noise level: run without arguments."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

from figures.helpers import figure_parser, results_of, save, set_style


def main() -> None:
    """Draw the figure."""
    figure_parser(__file__, __doc__).parse_args()
    result = results_of("tiny.learning_dynamics")
    table, steps, levels = result["error_share"], result["steps"], result["levels"]
    set_style(style="white")
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
    save(figure, "learning_dynamics", despine=False)


if __name__ == "__main__":
    main()
