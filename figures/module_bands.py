"""Draw the cosine of the parts of a network.

python -m figures.module_bands    # of tiny
python -m figures.module_bands cogvideox    # of the tiny CogVideoX
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import seaborn as sns

from figures.helpers import parse_model, results_of, save, set_style
from tqd_probe.plots.palette import SERIES


def main() -> None:
    """Draw the figure."""
    suffix = parse_model(__file__, __doc__)
    result = results_of("tiny.module_bands", suffix)
    levels, parts = result["levels"], result["parts"]
    names = list(next(iter(parts.values()))["degradations"])
    set_style()
    figure, panels = plt.subplots(
        1,
        len(names),
        figsize=(2.9 * len(names), 3.8),
        sharey=True,
        layout="constrained",
    )
    for axes, name in zip(panels, names):
        for colour, (part, found) in zip(sns.color_palette(SERIES), parts.items()):
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
    save(figure, f"module_bands{suffix}")


if __name__ == "__main__":
    main()
