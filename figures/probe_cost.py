"""Draw what a clip-gradient costs and errs."""

from __future__ import annotations

import matplotlib.pyplot as plt

from figures.helpers import figure_parser, results_of, save


def costs(axes: plt.Axes, results: dict) -> None:
    """Draw time over a plain pass, by width."""
    modes = {"floor": "0.75", "sketched": "tab:blue", "exact_norms": "tab:orange"}
    widths = [key for key in results["widths"] if key.isdigit()]
    for place, (mode, colour) in enumerate(modes.items()):
        values = [
            results["widths"][w]["modes"][mode]["processor_ratio"] for w in widths
        ]
        spots = [i + 0.27 * (place - 1) for i in range(len(widths))]
        axes.bar(spots, values, 0.25, color=colour, label=mode.replace("_", " "))
    axes.axhline(1, color="0.4", linewidth=0.8)
    axes.set_xticks(range(len(widths)), widths)
    axes.set(xlabel="width of the Wan blocks", ylabel="processor time / plain pass")
    axes.set_ylim(0, 1.3)
    axes.legend(frameon=False, fontsize=8, ncols=3, loc="upper center")


def errors(axes: plt.Axes, results: dict) -> None:
    """Draw the error of cosines by numbers kept."""
    part = results["error"]
    for name, colour, label in (
        ("tiny", "tab:blue", "tiny"),
        ("random", "tab:orange", "4 blocks, width 768, random"),
    ):
        for way, style in (("fitted", "-"), ("equal", ":")):
            axes.loglog(
                part["sizes"],
                [part[name][way][str(size)] for size in part["sizes"]],
                style,
                color=colour,
                marker="o",
                label=f"{label}, {way}",
            )
    axes.axhline(0.005, color="0.4", linewidth=0.8, linestyle="--")
    axes.set(xlabel="numbers kept per gradient", ylabel="error of cosines (RMS)")
    axes.set_ylim(top=0.2)
    axes.legend(frameon=False, fontsize=8, loc="upper right")


def growth(axes: plt.Axes, results: dict) -> None:
    """Draw the time of a run by clips and levels."""
    part = results["growth"]
    for what in ("clips", "levels"):
        x = [int(key) for key in part[what]]
        label = f"{what}, exponent {part[what + '_exponent']:.2f}"
        axes.loglog(x, list(part[what].values()), marker="o", label=label)
    axes.set(xlabel="clips, or levels", ylabel="seconds of a run (tiny)")
    axes.legend(frameon=False, fontsize=8)


def passes(axes: plt.Axes, results: dict) -> None:
    """Draw how often all edges are right, by clip-gradients."""
    curves = results["passes"]["curves"]["all"]
    for way, label in (
        ("ours_adaptive", "ours, adaptive"),
        ("ours_fixed", "ours, fixed"),
        ("naive", "naive"),
    ):
        points = sorted(map(tuple, curves[way].values()))
        axes.semilogx(*zip(*points), marker="o", label=label)
    axes.axhline(0.9, color="0.4", linewidth=0.8, linestyle="--")
    axes.set(xlabel="clip-gradients", ylabel="share of runs with all edges right")
    axes.legend(frameon=False, fontsize=8)


def main() -> None:
    """Draw the figure, a panel for each part."""
    figure_parser(__file__, __doc__).parse_args()
    results = results_of("cost.probe_cost")
    parts = {"widths": costs, "error": errors, "growth": growth, "passes": passes}
    have = [name for name in parts if name in results]
    figure, every = plt.subplots(
        1, len(have), figsize=(4 * len(have), 3.2), squeeze=False
    )
    for axes, name in zip(every[0], have):
        parts[name](axes, results)
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    save(figure, "probe_cost", dpi=130, despine=False)


if __name__ == "__main__":
    main()
