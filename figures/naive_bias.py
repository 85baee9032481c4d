"""Draw the plain cosine's error by clip count: `python -m figures.naive_bias`."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

from figures.helpers import FIRST, SECOND, figure_parser, results_of, save, set_style


def main() -> None:
    """Draw the figure."""
    figure_parser(__file__, __doc__).parse_args()
    rows = results_of("intervals.naive_bias")["rows"]
    set_style(0.9)
    figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
    sizes = sorted({row["clips"] for row in rows})
    for key, colour, label in (
        ("plain_error", SECOND, "plain cosine of mean gradients"),
        ("debiased_error", FIRST, "debiased cosine (median)"),
    ):
        curves = {}
        for row in rows:
            name = (row["sigma"], row["degradation"])
            curves.setdefault(name, {})[row["clips"]] = row[key]
        for curve in curves.values():
            known = [(n, v) for n, v in sorted(curve.items()) if v is not None]
            axes.plot(*zip(*known), color=colour, alpha=0.15, linewidth=0.8)
        means = [
            np.mean([r[key] for r in rows if r["clips"] == n and r[key] is not None])
            for n in sizes
        ]
        axes.plot(sizes, means, "o-", color=colour, linewidth=2.4, label=label)
    axes.axhline(0, color="0.5", linewidth=0.8)
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, labels=[str(n) for n in sizes])
    axes.set_xlabel("golden clips")
    axes.set_ylabel("cosine − debiased cosine of all clips")
    axes.set_title(
        "Few clips: the plain cosine errs either way; thin: level × degradation",
        fontsize=10,
    )
    axes.legend(fontsize=9)
    save(figure, "naive_bias")


if __name__ == "__main__":
    main()
