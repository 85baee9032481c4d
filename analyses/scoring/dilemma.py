"""The dilemma: are clips with good motion those with good pictures? On any score table.

Prints and draws how motion and visual scores hang together: Pearson's and Spearman's
correlation with intervals (percentile bootstrap over clips), the share of clips in each
quadrant (thresholds as in the score command, the median by default), all clips together
and per source. Clips of one source are not independent: read the lines per source.

    python -m tqd_probe.score --clips DIR --out scores.csv
    python -m analyses.scoring.dilemma scores.csv --name mine
    python -m analyses.scoring.dilemma Koala_36M_1.csv --name koala   # published

The TQD paper (arXiv 2603.25527) reports r = -0.2419 and 21.9 % golden on Koala-36M
scored by VideoAlign; how it normalised and where it cut is not known.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from scipy import stats

from analyses.results_file import run_script, script_parser, write_results
from tqd_probe.core.clip_classes import CLASSES
from tqd_probe.core.errors import InputError
from tqd_probe.core.rng import stream
from tqd_probe.scoring.normalise import METHODS, fit_scale
from tqd_probe.scoring.published.score_file import open_scores
from tqd_probe.scoring.thresholds import parse_threshold

HERE = Path(__file__).parent
PAPER = {"pearson": -0.2419, "golden": 0.219, "table": "Koala-36M by VideoAlign"}
RESAMPLES = 2000
LARGEST = 20_000  # clips above which intervals are Fisher's and the plot is binned
FEWEST = 8  # clips of a source that gets a line of its own


def read(path: Path, columns: dict[str, str | None]) -> tuple[pd.DataFrame, str]:
    """Return the raw scores of clips that have both, and what the file is."""
    raw = path.suffix == ".csv" and "mq_raw" in path.open(encoding="utf-8").readline()
    if raw:  # a table of the score command: start from what was measured
        columns = {**columns, "mq": "mq_raw", "vq": "vq_raw"}
    file = open_scores(path, columns["video"], columns["mq"], columns["vq"])
    mq, vq, sources = [], [], []
    for row in file.rows():
        if row.mq is not None and row.vq is not None:
            mq.append(row.mq)
            vq.append(row.vq)
            sources.append(row.source or "")
    if len(mq) < FEWEST:
        raise InputError(f"{path}: {len(mq)} clips with both scores; give at least 8")
    table = pd.DataFrame({"mq": mq, "vq": vq, "source": pd.Categorical(sources)})
    return table, file.format


def interval(x: np.ndarray, y: np.ndarray, rank: bool, seed: int) -> list[float]:
    """Return the 95 % interval of a correlation."""
    if len(x) > LARGEST:
        r = float(np.corrcoef(x, y)[0, 1])
        # Fisher's z; its deviation is 1.03 / sqrt(n - 3) for ranks (Fieller, 1957).
        half = 1.96 * np.sqrt(1.06 if rank else 1.0) / np.sqrt(len(x) - 3)
        return [float(np.tanh(np.arctanh(r) + sign * half)) for sign in (-1, 1)]
    rng = stream(seed, "dilemma", "rank" if rank else "plain", len(x))
    found = []
    for _ in range(RESAMPLES):
        pick = rng.integers(len(x), size=len(x))
        a, b = x[pick], y[pick]
        if rank:
            a, b = stats.rankdata(a), stats.rankdata(b)
        if a.std() > 0 and b.std() > 0:
            found.append(float(np.corrcoef(a, b)[0, 1]))
    return [float(q) for q in np.quantile(found, [0.025, 0.975])]


def describe(table: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Return correlations, intervals and quadrants of some clips."""
    x, y = table["mq"].to_numpy(), table["vq"].to_numpy()
    found: dict[str, Any] = {"clips": len(table)}
    if x.std() > 0 and y.std() > 0:
        ranks = stats.rankdata(x), stats.rankdata(y)
        for name, (a, b), rank in (
            ("pearson", (x, y), False),
            ("spearman", ranks, True),
        ):
            value = float(np.corrcoef(a, b)[0, 1])
            found[name] = round(value, 4)
            ends = interval(
                a if len(x) > LARGEST else x, b if len(x) > LARGEST else y, rank, seed
            )
            found[f"{name}_ci"] = [round(end, 4) for end in ends]
    counts = table["class"].value_counts()
    found["shares"] = {
        name: round(float(counts.get(name, 0)) / len(table), 4) for name in CLASSES
    }
    return found


def draw(
    table: pd.DataFrame, whole: dict[str, Any], limits: list[float], out: Path
) -> None:
    """Draw the joint plot with its marginals."""
    shown = table.rename(columns={"mq": "motion score", "vq": "visual score"})
    hue = "source" if shown["source"].nunique() > 1 else None
    grid = sns.JointGrid(shown, x="motion score", y="visual score", height=5, hue=hue)
    if len(table) > LARGEST:
        grid.plot_joint(sns.histplot, bins=60, cbar=False)
    else:
        grid.plot_joint(sns.scatterplot, alpha=0.7)
    grid.plot_marginals(sns.histplot, bins=20, multiple="stack", edgecolor="white")
    if hue and grid.ax_joint.get_legend():
        sns.move_legend(grid.ax_joint, "center left", bbox_to_anchor=(1.25, 0.5))
    grid.ax_joint.axvline(limits[0], color="0.4", lw=0.8)
    grid.ax_joint.axhline(limits[1], color="0.4", lw=0.8)
    r, ends = whole.get("pearson"), whole.get("pearson_ci")
    if r is not None:
        text = (
            f"Pearson {r:.2f} [{ends[0]:.2f}, {ends[1]:.2f}],"
            f" golden {whole['shares']['golden']:.0%} of {whole['clips']} clips"
        )
        grid.figure.suptitle(text, y=1.02, fontsize=10)
    out.parent.mkdir(parents=True, exist_ok=True)
    grid.figure.savefig(out, dpi=130, bbox_inches="tight", metadata={"Software": None})
    plt.close(grid.figure)


def show(name: str, found: dict[str, Any]) -> str:
    """Write one line of the table."""
    parts = [f"{name:<14}{found['clips']:>8}"]
    for key in ("pearson", "spearman"):
        if key in found:
            low, high = found[f"{key}_ci"]
            parts.append(f"{found[key]:>7.3f} [{low:.2f}, {high:.2f}]")
        else:
            parts.append(f"{'undefined':>22}")
    parts += [f"{share:>8.1%}" for share in found["shares"].values()]
    return " ".join(parts)


def main() -> None:
    """Read, correlate, draw, write."""
    parser = script_parser(__file__, __doc__)
    parser.add_argument("table", type=Path, help="score table of any known shape")
    parser.add_argument("--name", default="dilemma", help="name of results and figure")
    parser.add_argument(
        "--normalise", choices=METHODS, default="none", help="before all"
    )
    parser.add_argument("--mq-min", default="q0.5", help="good motion: 0.5 or q0.5")
    parser.add_argument("--vq-min", default="q0.5", help="good picture: 0.5 or q0.5")
    parser.add_argument("--video-column")
    parser.add_argument("--mq-column")
    parser.add_argument("--vq-column")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, help="file to write")
    parser.add_argument("--figures", type=Path, default=HERE.parents[1] / "figures")
    args = parser.parse_args()
    columns = {"video": args.video_column, "mq": args.mq_column, "vq": args.vq_column}
    table, kind = read(args.table, columns)
    limits = []
    for field, text in (("mq", args.mq_min), ("vq", args.vq_min)):
        values = table[field].to_numpy()
        if args.normalise != "none":
            values = fit_scale(args.normalise, values, field).apply(values)
            table[field] = values
        limits.append(parse_threshold(text).resolve(values))
    bad_picture = (table["vq"] < limits[1]).to_numpy()
    bad_motion = (table["mq"] < limits[0]).to_numpy()
    table["class"] = np.array(CLASSES)[bad_picture + 2 * bad_motion]
    whole = describe(table, args.seed)
    sources = {
        str(source): describe(part, args.seed)
        for source, part in table.groupby("source", observed=True)
        if source and len(part) >= FEWEST
    }
    header = f"{'':<14}{'clips':>8} {'Pearson':>22} {'Spearman':>22}"
    print(header + "".join(f" {name.split('_')[0]:>8}" for name in CLASSES))
    print(show("all", whole))
    for source, found in sources.items():
        print(show(source, found))
    print(
        f"the paper, {PAPER['table']}: Pearson {PAPER['pearson']}, golden"
        f" {PAPER['golden']:.1%}"
    )
    figure = args.figures / f"{args.name}_dilemma.png"
    draw(table, whole, limits, figure)
    print(figure)
    found = {
        "table": kind,
        "normalisation": args.normalise,
        "thresholds": {"mq": args.mq_min, "vq": args.vq_min},
        "all": whole,
        "sources": sources,
        "paper": PAPER,
    }
    results = args.results or HERE / "results" / f"dilemma_{args.name}.json"
    write_results(parser, args, found, results)


if __name__ == "__main__":
    run_script(main)
