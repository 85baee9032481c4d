"""Draw what a classifier sees beside what gradients say: run without arguments."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

from figures.helpers import FIRST, SECOND, figure_parser, results_of, save, set_style


def main() -> None:
    """Draw the figure."""
    figure_parser(__file__, __doc__).parse_args()
    result = results_of("tiny.noise_classifier")
    levels, found = result["levels"], result["degradations"]
    set_style()
    figure, panels = plt.subplots(
        1,
        len(found),
        figsize=(2.9 * len(found), 3.6),
        sharey=True,
        layout="constrained",
    )
    for axes, (name, entry) in zip(panels, found.items()):
        cosine = np.array(entry["cosine"], dtype=float)
        axes.plot(
            levels, cosine, "o-", color=FIRST, markersize=4, label="gradient cosine"
        )
        axes.plot(
            levels,
            entry["accuracy"],
            "s-",
            color=SECOND,
            markersize=4,
            label="accuracy of a classifier, golden against degraded",
        )
        for low, high in entry["bands"]:
            axes.axvspan(low, high, color=FIRST, alpha=0.12, linewidth=0)
        axes.axvline(entry["sigma_min"], color=SECOND, linestyle="--", linewidth=1)
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
    save(figure, "noise_classifier")


if __name__ == "__main__":
    main()
