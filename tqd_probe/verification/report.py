"""The one page a verification ends with."""

from __future__ import annotations

import numpy as np

from tqd_probe.sampling.level_buckets import format_buckets
from tqd_probe.verification.result import ComparisonResult, VerificationResult


def format_report(result: VerificationResult) -> str:
    """Write the result as Markdown.

    Args:
        result: The result.

    Returns:
        A table, one sentence per sampler, and how to read them.
    """
    settings, baseline = result.settings, result.baseline
    trained = "all weights" if settings.full else f"LoRA of rank {settings.lora_rank}"
    if settings.init_lora is not None:
        trained = f"the LoRA {settings.init_lora}"
    early = ", stopped early: the ranking was clear" if result.stopped_early else ""
    lines = [
        f"# Which sampler helps {settings.ckpt}?",
        "",
        f"{settings.steps} steps ({trained}), {result.seeds} seeds{early};"
        f" judged on {result.golden_clips} held-out golden clips at ten levels each."
        f" Loss before training {result.start_loss:.4f}.",
        "",
        f"| sampler | golden loss | against {baseline} | interval | outcome |",
        "|---|---|---|---|---|",
    ]
    for label, losses in result.samplers.items():
        comparison = result.comparisons.get(label)
        if comparison is None:
            lines.append(f"| {label} | {losses.loss:.4f} | | | baseline |")
            continue
        gap = comparison.difference
        lines.append(
            f"| {label} | {losses.loss:.4f} | {gap.mean:+.4f} |"
            f" [{gap.low:+.4f}, {gap.high:+.4f}] | {comparison.outcome} |"
        )
    lines.append("")
    for label, comparison in result.comparisons.items():
        lines.append(_sentence(label, comparison, result))
    both = max(0.0, 1 - 2 * (1 - settings.confidence))
    lines += [
        "",
        f"Intervals hold together with confidence {settings.confidence:g} over all"
        f" interim analyses and comparisons with {baseline}; they cover new seeds and"
        " new golden clips. What is said of noise levels has that confidence over all"
        f" levels and comparisons, but apart: together with the outcomes {both:g}."
        f" Loss after {settings.steps} steps is not video quality; a longer run may"
        " differ.",
    ]
    return "\n".join(lines)


def _sentence(
    label: str, comparison: ComparisonResult, result: VerificationResult
) -> str:
    """Summarise what one sampler does, and at which noise levels."""
    gap = comparison.difference
    edges = np.array(result.sigma_edges)
    lower = [b for b, each in enumerate(comparison.buckets) if each.high < 0]
    higher = [b for b, each in enumerate(comparison.buckets) if each.low > 0]
    places = []
    if lower:
        places.append(f"lower loss at sigma {format_buckets(edges, lower)}")
    if higher:
        places.append(f"higher loss at sigma {format_buckets(edges, higher)}")
    where = "; ".join(places) or "no single bucket of sigma is clear"
    if comparison.outcome == "no difference shown":
        largest = max(abs(gap.low), abs(gap.high))
        return (
            f"**{label}**: no difference shown (an effect beyond {largest:.4f} is"
            f" excluded); {where}."
        )
    verb = "lowers" if gap.mean < 0 else "raises"
    size = 100 * abs(gap.mean) / result.samplers[result.baseline].loss
    return (
        f"**{label}** {comparison.outcome}: {verb} the golden loss by {size:.2g} %;"
        f" {where}."
    )
