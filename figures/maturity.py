"""Draw what a probe finds as training goes on.

python -m figures.maturity    # of tiny
python -m figures.maturity cogvideox    # of the tiny CogVideoX
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

from figures.helpers import parse_model, results_of, save, set_style


def main() -> None:
    """Draw the figure."""
    suffix = parse_model(__file__, __doc__)
    NAME = "the tiny CogVideoX" if suffix else "tiny"
    result = results_of("tiny.maturity", suffix)
    rows, levels = result["rows"], result["levels"]
    moved = {
        (each["from"], each["to"], each["level"], each["degradation"]): each["moved"]
        for each in result["changes"]
    }
    steps = [row["step"] for row in rows]
    names = list(rows[0]["cosine"])
    set_style()
    figure, panels = plt.subplots(
        1, 1 + len(names), figsize=(3 * (1 + len(names)), 3.4), layout="constrained"
    )
    for index, (level, colour) in enumerate(
        zip(levels, sns.color_palette("viridis", len(levels)))
    ):
        snr = [row["snr"][index] for row in rows]
        panels[0].plot(steps, snr, "o-", color=colour, markersize=4, label=f"{level:g}")
        for axes, name in zip(panels[1:], names):
            known = [
                (
                    row["step"],
                    row["cosine"][name][index],
                    *row["cosine_ci"][name][index],
                )
                for row in rows
                if row["cosine_ci"][name][index] is not None
            ]
            if known:
                step, cosine, low, high = np.array(known).T
                places = step + 40 * (index - len(levels) / 2)
                axes.errorbar(
                    places,
                    cosine,
                    np.maximum([cosine - low, high - cosine], 0),
                    color=colour,
                    fmt="o",
                    markersize=4,
                    elinewidth=1,
                    alpha=0.8,
                )
                for at in range(len(step) - 1):
                    sure = moved.get((step[at], step[at + 1], index, name), False)
                    axes.plot(
                        places[at : at + 2],
                        cosine[at : at + 2],
                        color=colour,
                        linestyle="-" if sure else ":",
                        linewidth=2.2 if sure else 1,
                    )
    panels[0].set_yscale("log")
    panels[0].set_title("signal-to-noise of one golden clip", fontsize=10)
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        title="σ",
        loc="outside right center",
        fontsize=8,
        frameon=False,
    )
    for axes, name in zip(panels[1:], names):
        axes.set_title(f"cosine of {name}", fontsize=10)
        axes.set_ylim(-0.8, 1.15)
    for axes in panels:
        axes.set_xlabel("training step")
    figure.suptitle(
        f"As {NAME} is trained; solid: the 95 % interval of the change between two"
        " checkpoints, on the same clips and noise, excludes 0",
        fontsize=10,
    )
    save(figure, f"maturity{suffix}")


if __name__ == "__main__":
    main()
