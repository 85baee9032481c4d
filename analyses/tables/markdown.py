"""Tables of `compare_samplers.py` in Markdown: whole, short, beside the paper's."""

from __future__ import annotations

from typing import Any

from analyses.tables.generated_clips import SHOWN

# Wan 1.3B in the paper (arXiv 2603.25527, from notes on it): baseline, then TQD.
PAPER = {
    "A": {"dynamic": (0.5312, 0.6384), "mq": (2.1388, 2.2557), "vq": (3.2537, 3.3450)},
    "B": {"dynamic": (0.5224, 0.5447), "mq": (2.0905, 2.1477), "vq": (3.2338, 3.2679)},
    "C": {"dynamic": (0.5268, 0.6473), "mq": (2.1917, 2.2200), "vq": (3.3378, 3.3743)},
}
PAPER_SAMPLER = "Beta, kappa_max 8"  # the paper's, at a middle concentration


def table(result: dict[str, Any]) -> str:
    """Write every number: a block per set, as the paper has it.

    Args:
        result: What `comparison.compare_trials` found.

    Returns:
        Markdown.
    """
    made = any("generated" in row for row in result["rows"])
    head = ["set", "sampler", "golden loss", "against uniform"]
    head += ["against uniform on A"]
    if made:
        head += ["flow", "smoothness", "motion", "visual", "FD motion", "FD appearance"]
    lines = _head(head)
    for row in result["rows"]:
        cells = [f"Set-{row['set']}", row["sampler"]]
        if "refused" in row:
            lines.append(_line([*cells, "cannot train"]))
            continue
        cells.append(f"{row['loss']:.4f}")
        cells += [
            _shown(row.get(key)) for key in ("against_uniform", "against_uniform_on_A")
        ]
        if made:
            generated = row["generated"]
            keys = [*SHOWN, "frechet_motion", "frechet_appearance"]
            cells += [f"{generated[key]['mean']:.3f}" for key in keys]
        lines.append(_line(cells))
    return "\n".join(lines)


def summary(result: dict[str, Any]) -> str:
    """Write a row per sampler: golden loss against uniform on each set, and on Set-A.

    Args:
        result: What `comparison.compare_trials` found.

    Returns:
        Markdown; losses times 1000, so that most of a number is not zeros.
    """
    rows = {(row["set"], row["sampler"]): row for row in result["rows"]}
    letters = sorted({letter for letter, _ in rows})
    names = list(dict.fromkeys(row["sampler"] for row in result["rows"]))
    head = ["sampler", "kind"]
    head += [f"Set-{letter}, against its uniform" for letter in letters]
    across = [letter for letter in letters if letter != "A" and "A" in letters]
    head += [f"Set-{letter}, against uniform on A" for letter in across]
    lines = _head(head)
    for name in names:
        mine = {letter: rows.get((letter, name), {}) for letter in letters}
        kind = next(row["kind"] for row in mine.values() if row)
        cells = [_thousandths(mine[x], "against_uniform") for x in letters]
        cells += [_thousandths(mine[x], "against_uniform_on_A") for x in across]
        lines.append(_line([name, kind, *cells]))
    return "\n".join(lines)


def differences(result: dict[str, Any]) -> str:
    """Write what generated clips score against uniform on Set-A, in pairs over seeds.

    Args:
        result: What `comparison.compare_trials` found.

    Returns:
        Markdown, bold where an interval leaves out 0; empty if no clips were generated.
    """
    key = "generated_against_uniform_on_A"
    rows = [row for row in result["rows"] if key in row]
    if not rows:
        return ""
    names = [*SHOWN, "frechet_motion", "frechet_appearance"]
    lines = _head(["set", "sampler", *(name.replace("_", " ") for name in names)])
    for row in rows:
        cells = [_known(row[key][name]) for name in names]
        lines.append(_line([f"Set-{row['set']}", row["sampler"], *cells]))
    return "\n".join(lines)


def candidate_table(result: dict[str, Any], candidate: str) -> str:
    """Write what the candidate gains over every other sampler, set by set.

    Args:
        result: What `comparison.compare_trials` found.
        candidate: Name of the sampler.

    Returns:
        Markdown; golden losses times 1000, bold where an interval leaves out 0.
    """
    letters = sorted({row["set"] for row in result["rows"]})
    lines = _head([f"{candidate} minus", *(f"Set-{letter}" for letter in letters)])
    for name, sets in result["candidate_minus"].items():
        cells = [_thousandths(sets, letter) for letter in letters]
        lines.append(_line([name, *cells]))
    return "\n".join(lines)


def beside_paper(result: dict[str, Any], candidate: str) -> str:
    """Write what generated clips score, beside what the paper's did.

    Args:
        result: What `comparison.compare_trials` found.
        candidate: The measured sampler shown beside the paper's.

    Returns:
        Markdown: baseline, the paper's sampler and the candidate in each cell of ours;
        empty if no clips were generated.
    """
    rows = {(row["set"], row["sampler"]): row for row in result["rows"]}
    if not any("generated" in row for row in result["rows"]):
        return ""
    head = [
        "set",
        "paper: dynamic degree",
        "MQ",
        "VQ",
        "here: flow",
        "motion",
        "visual",
    ]
    lines = _head(head)
    for letter, paper in PAPER.items():
        if (letter, "uniform") not in rows:
            continue
        cells = [f"{a:.4f}, {b:.4f}" for a, b in paper.values()]
        for key in ("flow", "motion", "visual"):
            some = [
                rows.get((letter, name), {}).get("generated")
                for name in ("uniform", PAPER_SAMPLER, candidate)
            ]
            cells.append(
                ", ".join("-" if s is None else _over_seeds(s[key]) for s in some)
            )
        lines.append(_line([f"Set-{letter}", *cells]))
    return "\n".join(lines)


def _head(cells: list[str]) -> list[str]:
    return [_line(cells), "|---" * len(cells) + "|"]


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _shown(one: dict[str, float] | None) -> str:
    if one is None:
        return ""
    return f"{one['mean']:+.4f} [{one['low']:+.4f}, {one['high']:+.4f}]"


def _thousandths(row: dict[str, Any], key: str) -> str:
    """Return a difference times 1000, bold where its interval leaves out 0."""
    if "refused" in row:
        return "cannot train"
    one = row.get(key)
    if one is None:
        return ""
    mean, low, high = (1000 * one[end] for end in ("mean", "low", "high"))
    return _bold(mean, low, high, digits=1)


def _known(one: dict[str, Any]) -> str:
    """Return a difference over seeds, bold where its interval leaves out 0."""
    if one["ci"] is None:
        return f"{one['mean']:+.3f}"
    low, high = one["ci"]
    return _bold(one["mean"], low, high, digits=3)


def _bold(mean: float, low: float, high: float, digits: int) -> str:
    text = f"{mean:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"
    return f"**{text}**" if low > 0 or high < 0 else text


def _over_seeds(one: dict[str, Any]) -> str:
    if one["ci"] is None:
        return f"{one['mean']:.3f}"
    return f"{one['mean']:.3f} \u00b1 {(one['ci'][1] - one['ci'][0]) / 2:.3f}"
