"""Figures of a training: density of draws, validation, sheets of sample videos."""

from __future__ import annotations

from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from tqd_probe.plots.palette import CLASS_COLOURS
from tqd_probe.sampling.level_buckets import BUCKETS
from tqd_probe.sampling.level_density import RealisedDensity

AXIS = "noise level σ"
SHEET_COLUMNS = 6  # frames of a video on a contact sheet


def density_figure(density: RealisedDensity, title: str) -> Figure:
    """Draw the density of draws: expected curves over counted draws, per class.

    Args:
        density: The realised density.
        title: What the run is.

    Returns:
        The figure.
    """
    sns.set_theme(context="notebook", style="ticks", font_scale=0.85)
    figure = Figure(figsize=(9.5, 3.4))
    left, right = figure.subplots(1, 2)
    total = density.counts.sum()
    middle = (np.arange(BUCKETS) + 0.5) / BUCKETS
    under, bottom = np.zeros(BUCKETS), np.zeros(len(density.grid))
    for row, name in enumerate(density.classes):
        colour = CLASS_COLOURS.get(name)
        bars = density.counts[row] / total * BUCKETS
        left.bar(
            middle, bars, 0.094, bottom=under, color=colour, alpha=0.55, label=name
        )
        under += bars
        top = bottom + density.curves[name]
        left.plot(density.grid, top, color=colour, lw=1.5)
        bottom = top
        own = density.curves[name]
        if own.mean() > 0:
            right.plot(density.grid, own / own.mean(), color=colour, lw=1.8, label=name)
    left.step(
        np.append(0, middle + 0.05),
        np.append(density.base[0], density.base) * BUCKETS,
        color="0.3",
        ls=":",
        where="pre",
        label="base density",
    )
    left.set(xlabel=AXIS, ylabel="density of draws", xlim=(0, 1), title=title)
    right.set(xlabel=AXIS, ylabel="density within the class", xlim=(0, 1))
    high = max(
        (c.max() / c.mean() for c in density.curves.values() if c.mean()), default=1
    )
    right.set_ylim(0, min(high * 1.05, 8))
    if density.boundary is not None:
        for axes in (left, right):
            axes.axvline(density.boundary, color="0.2", lw=1, ls="--")
    left.legend(fontsize=7, frameon=False)
    sns.despine(figure)
    figure.tight_layout()
    return figure


def validation_figure(rows: list[dict[str, Any]]) -> Figure:
    """Draw held-out loss over steps, and its change in each bucket of sigma.

    Args:
        rows: Rows of ``validation.jsonl``, at least one.

    Returns:
        The figure; bands and bars are 95 % intervals over clips.
    """
    sns.set_theme(context="notebook", style="ticks", font_scale=0.85)
    figure = Figure(figsize=(9.5, 3.4))
    left, right = figure.subplots(1, 2)
    steps = [row["step"] for row in rows]
    last = rows[-1]
    middle = (
        np.array(last["sigma_edges"])[1:] + np.array(last["sigma_edges"])[:-1]
    ) / 2
    for number, (name, one) in enumerate(last["classes"].items()):
        colour = CLASS_COLOURS.get(name)
        change = [row["classes"][name]["change"] for row in rows]
        left.plot(steps, change, color=colour, marker="o", ms=3, label=name)
        ends = [row["classes"][name]["change_ci"] for row in rows]
        if None not in ends:
            low, high = zip(*ends)
            left.fill_between(steps, low, high, color=colour, alpha=0.18, lw=0)
        value = np.array(one["bucket_change"])
        bars = None
        if None not in one["bucket_change_ci"]:
            bars = np.abs(np.array(one["bucket_change_ci"]).T - value)
        place = middle + 0.008 * number
        right.errorbar(
            place, value, bars, color=colour, marker="o", ms=3, lw=1.2, label=name
        )
    for axes in (left, right):
        axes.axhline(0, color="0.6", lw=0.8)
    left.set(xlabel="step", ylabel="change of held-out loss since the first validation")
    right.set(xlabel=AXIS, ylabel=f"change at step {last['step']}", xlim=(0, 1))
    left.legend(fontsize=7, frameon=False)
    sns.despine(figure)
    figure.tight_layout()
    return figure


def contact_sheet_figure(videos: np.ndarray, prompts: list[str]) -> Figure:
    """Draw a row of frames for each video.

    Args:
        videos: uint8 RGB ``[N, T, H, W, 3]``.
        prompts: One per video.

    Returns:
        The figure.
    """
    frames = np.linspace(0, videos.shape[1] - 1, min(SHEET_COLUMNS, videos.shape[1]))
    rows, columns = len(videos), len(frames)
    ratio = videos.shape[2] / videos.shape[3]
    figure = Figure(figsize=(1.6 * columns, (1.6 * ratio + 0.3) * rows))
    axes = figure.subplots(rows, columns, squeeze=False)
    for row in range(rows):
        for column, frame in enumerate(frames.round().astype(int)):
            axes[row, column].imshow(videos[row, frame])
            axes[row, column].axis("off")
        title = prompts[row] if len(prompts[row]) < 90 else prompts[row][:87] + "..."
        axes[row, 0].set_title(title, fontsize=7, loc="left")
    return figure
