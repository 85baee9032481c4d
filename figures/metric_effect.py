"""Draw cosines of raw gradients and in Adam's metric: run without arguments."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

from figures.helpers import FIRST, SECOND, figure_parser, results_of, save, set_style


def main() -> None:
    """Draw the figure."""
    figure_parser(__file__, __doc__).parse_args()
    result = results_of("intervals.metric_effect")
    levels, found = result["levels"], result["degradations"]
    set_style()
    figure, panels = plt.subplots(
        2,
        len(found),
        figsize=(2.7 * len(found), 5.4),
        sharex=True,
        sharey="row",
        layout="constrained",
    )
    for column, (name, entry) in enumerate(found.items()):
        for metric, colour in (("raw", FIRST), ("adam", SECOND)):
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
    save(figure, "metric_effect")


if __name__ == "__main__":
    main()
