"""Draw cosine by severity.

python -m figures.severity_curves    # of tiny
python -m figures.severity_curves cogvideox    # of the tiny CogVideoX
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import seaborn as sns

from figures.helpers import parse_model, results_of, save, set_style
from tqd_probe.plots.palette import SERIES


def main() -> None:
    """Draw the figure."""
    suffix = parse_model(__file__, __doc__)
    result = results_of("tiny.severity_curves", suffix)
    set_style()
    levels = [i for i, known in enumerate(result["resolved"]) if known]
    figure, panels = plt.subplots(
        2,
        max(len(levels), 1),
        figsize=(1 + 3.2 * len(levels), 6),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    names = [name for name in result["latent_distance"] if name != "reverse"]
    for column, level in enumerate(levels):
        for colour, name in zip(sns.color_palette(SERIES), names):
            known = [
                (k, result["subjects"][f"{name}:{k}"])
                for k in range(1, 6)
                if result["subjects"][f"{name}:{k}"]["cosine_ci"][level] is not None
            ]
            for axes, places in (
                (panels[0][column], [k for k, _ in known]),
                (
                    panels[1][column],
                    [result["latent_distance"][name][k - 1] for k, _ in known],
                ),
            ):
                values = [s["cosine"][level] for _, s in known]
                bounds = [s["cosine_ci"][level] for _, s in known]
                axes.fill_between(
                    places, *zip(*bounds), color=colour, alpha=0.15, linewidth=0
                )
                axes.plot(places, values, "o-", color=colour, label=name, markersize=4)
        panels[0][column].set_title(f"σ = {result['levels'][level]:g}", fontsize=10)
        panels[0][column].set_xlabel("severity")
        panels[0][column].set_xticks(range(1, 6))
        panels[1][column].set_xlabel("latent distance to golden")
        panels[1][column].set_xscale("log")
    panels[0][0].set_ylim(-0.2, 1.1)
    panels[0][0].set_ylabel("debiased gradient cosine")
    panels[1][0].set_ylabel("debiased gradient cosine")
    panels[0][0].legend(fontsize=8)
    figure.suptitle(
        "Cosine to golden by severity (above) and by latent distance (below)"
    )
    save(figure, f"severity_curves{suffix}")


if __name__ == "__main__":
    main()
