"""Draw the cosines of two architectures: `python -m figures.two_architectures`."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

from figures.helpers import figure_parser, results_of, save, set_style
from tqd_probe.plots.palette import SERIES


def main() -> None:
    """Draw the figure."""
    figure_parser(__file__, __doc__).parse_args()
    result = results_of("tiny.two_architectures")
    models = result["models"]
    names = list(next(iter(models.values()))["degradations"])
    set_style()
    figure, panels = plt.subplots(
        1,
        len(names),
        figsize=(2.9 * len(names), 3.6),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axes, name in zip(panels[0], names):
        for colour, (label, found) in zip(sns.color_palette(SERIES), models.items()):
            row = found["degradations"][name]
            known = [
                (sigma, cosine, *ends)
                for sigma, cosine, ends, resolved in zip(
                    found["levels"], row["cosine"], row["cosine_ci"], found["resolved"]
                )
                if resolved and cosine is not None and ends is not None
            ]
            if not known:
                continue
            sigma, cosine, low, high = np.array(known).T
            axes.fill_between(sigma, low, high, color=colour, alpha=0.15, linewidth=0)
            axes.plot(sigma, cosine, "o-", color=colour, markersize=4, label=label)
        axes.axhline(0.9, color="0.6", linewidth=0.8, linestyle=":")
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("σ = noise / (noise + signal)")
        axes.set_xlim(0, 1)
    panels[0][0].set_ylim(-0.5, 1.1)
    panels[0][0].set_ylabel("debiased gradient cosine")
    panels[0][0].legend(fontsize=8, loc="lower right")
    save(figure, "two_architectures")


if __name__ == "__main__":
    main()
