"""The one page a verification ends with."""

from __future__ import annotations

from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from tqd_probe.plots.palette import SERIES


def page(result: dict[str, Any]) -> str:
    """Write the result as Markdown.

    Args:
        result: Content of ``verify.json``.

    Returns:
        A table, one sentence per sampler, and how to read them.
    """
    settings, baseline = result["settings"], result["baseline"]
    how = "all weights" if settings["full"] else f"LoRA of rank {settings['lora_rank']}"
    early = ", stopped early: the ranking was clear" if result["stopped_early"] else ""
    lines = [
        f"# Which sampler helps {settings['ckpt']}?",
        "",
        f"{settings['steps']} steps ({how}), {result['seeds']} seeds{early};"
        f" judged on {result['golden_clips']} held-out golden clips at ten levels each."
        f" Loss before training {result['start_loss']:.4f}.",
        "",
        f"| sampler | golden loss | against {baseline} | interval | verdict |",
        "|---|---|---|---|---|",
    ]
    for label, one in result["samplers"].items():
        verdict = result["verdicts"].get(label)
        if verdict is None:
            lines.append(f"| {label} | {one['loss']:.4f} | | | baseline |")
            continue
        gap = verdict["difference"]
        lines.append(
            f"| {label} | {one['loss']:.4f} | {gap['mean']:+.4f} |"
            f" [{gap['low']:+.4f}, {gap['high']:+.4f}] | {verdict['verdict']} |"
        )
    lines.append("")
    for label, verdict in result["verdicts"].items():
        lines.append(_sentence(label, verdict, result))
    lines += [
        "",
        f"Intervals hold together with confidence {settings['confidence']:g} over all"
        f" looks and comparisons with {baseline}; they cover new seeds and new golden"
        " clips. Loss after"
        f" {settings['steps']} steps is not video quality; a longer run may differ.",
    ]
    return "\n".join(lines)


def _sentence(label: str, verdict: dict[str, Any], result: dict[str, Any]) -> str:
    """Say what one sampler does, and where."""
    gap = verdict["difference"]
    level = result["samplers"][result["baseline"]]["loss"]
    size = f"{100 * abs(gap['mean']) / level:.2g} %"
    low, high = [], []
    for bucket, each in enumerate(verdict["buckets"]):
        if each["low"] > 0:
            high.append(bucket)
        if each["high"] < 0:
            low.append(bucket)
    places = []
    if low:
        places.append(f"lower loss at sigma {_places(low)}")
    if high:
        places.append(f"higher loss at sigma {_places(high)}")
    where = "; ".join(places) or "no single bucket of sigma is clear"
    if verdict["verdict"] == "no difference shown":
        return (
            f"**{label}**: no difference shown (an effect beyond"
            f" {max(abs(gap['low']), abs(gap['high'])):.4f} is excluded); {where}."
        )
    word = "lowers" if gap["mean"] < 0 else "raises"
    return (
        f"**{label}** {verdict['verdict']}: {word} the golden loss by {size}; {where}."
    )


def _places(buckets: list[int]) -> str:
    """Write buckets as ranges of sigma."""
    parts: list[list[int]] = []
    for bucket in buckets:
        if parts and parts[-1][1] == bucket:
            parts[-1][1] = bucket + 1
        else:
            parts.append([bucket, bucket + 1])
    return ", ".join(f"{a / 10:.1f} to {b / 10:.1f}" for a, b in parts)


def verify_figure(result: dict[str, Any]) -> Figure:
    """Draw the differences over all levels and in each bucket.

    Args:
        result: Content of ``verify.json``.

    Returns:
        The figure.
    """
    sns.set_theme(context="notebook", style="ticks", font_scale=0.85)
    colours = sns.color_palette(SERIES, len(result["verdicts"]))
    figure = Figure(figsize=(9.5, 3.4))
    left, right = figure.subplots(1, 2, width_ratios=[1, 2])
    for row, (label, verdict) in enumerate(result["verdicts"].items()):
        gap = verdict["difference"]
        bars = [[gap["mean"] - gap["low"]], [gap["high"] - gap["mean"]]]
        left.errorbar(
            gap["mean"], -row, xerr=bars, marker="o", ms=4, color=colours[row]
        )
        means = np.array([each["mean"] for each in verdict["buckets"]])
        ends = np.array([[e["low"], e["high"]] for e in verdict["buckets"]]).T
        count = len(means)
        places = (np.arange(count) + 0.5) / count + 0.01 * row
        right.errorbar(
            places, means, np.abs(ends - means), marker="o", ms=3, lw=1.2,
            color=colours[row], label=label,
        )  # fmt: skip
    left.axvline(0, color="0.6", lw=0.8)
    right.axhline(0, color="0.6", lw=0.8)
    left.set_yticks([-row for row in range(len(result["verdicts"]))])
    left.set_yticklabels(list(result["verdicts"]))
    left.set_ylim(-len(result["verdicts"]) + 0.5, 0.5)
    left.set(xlabel=f"golden loss against {result['baseline']}")
    right.set(xlabel="noise level σ", ylabel="difference in the bucket", xlim=(0, 1))
    right.legend(fontsize=7, frameon=False)
    sns.despine(figure)
    figure.tight_layout()
    return figure
