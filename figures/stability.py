"""Draw the bands of seeds and halves of clips: `python -m figures.stability`."""

from __future__ import annotations

import matplotlib.pyplot as plt

from figures.helpers import FIRST, figure_parser, results_of, save, set_style


def main() -> None:
    """Draw the figure."""
    figure_parser(__file__, __doc__).parse_args()
    TITLES = {"visual_degraded": "visual, pooled", "motion_degraded": "motion, pooled"}
    result = results_of("intervals.stability")
    found = {(row["subject"], row["compared"]): row for row in result["rows"]}
    single = [name for name in result["bands"] if ":" in name]
    names = [*single, *(n for n in result["bands"] if n == "visual_degraded")]
    set_style()
    figure, panels = plt.subplots(
        1, len(names), figsize=(2.7 * len(names), 4), sharey=True, layout="constrained"
    )
    for axes, name in zip(panels, names):
        whole, halves = found[name, "seeds"], found[name, "halves"]
        for seed, run in enumerate(result["bands"][name]):
            for place, height, colour, some in (
                (seed, 0.3, FIRST, run["whole"]),
                (seed + 0.3, 0.13, "#E69F00", run["halves"][0]),
                (seed + 0.47, 0.13, "#E69F00", run["halves"][1]),
            ):
                for low, high in some:
                    axes.barh(place, high - low, height, low, color=colour, linewidth=0)
            for interval in (edge for pair in run["edges"] for edge in pair):
                if interval[1] > interval[0]:
                    axes.plot(
                        interval,
                        [seed - 0.22] * 2,
                        "|-",
                        color="black",
                        linewidth=1,
                        markersize=5,
                    )
        axes.set_xlim(0, 1)
        axes.set_title(
            f"{TITLES.get(name, name)}\nwithin 0.07: seeds {whole['within_0.07']:.0%},"
            f" halves {halves['within_0.07']:.0%}\nor intervals meet:"
            f" {whole['within_or_said']:.0%}, {halves['within_or_said']:.0%}",
            fontsize=9,
        )
        axes.set_xlabel("σ")
        axes.grid(axis="x", alpha=0.4)
    panels[0].set_yticks(range(len(result["bands"][names[0]])))
    panels[0].set_ylabel("seed")
    panels[0].invert_yaxis()
    handles = [plt.Rectangle((0, 0), 1, 1, color=c) for c in (FIRST, "#E69F00")]
    handles.append(plt.Line2D([], [], color="black", marker="|"))
    figure.legend(
        handles,
        [
            f"bands of {result['clips']} clips",
            "of either half",
            "intervals of the edges",
        ],
        loc="outside lower center",
        ncols=3,
        fontsize=9,
        frameon=False,
    )
    save(figure, "stability")


if __name__ == "__main__":
    main()
