"""Which clips help at which noise levels: each clip's gradient against golden.

A clip's usefulness at a level is the product of its own gradient with the mean golden
gradient of the *other* clips, over the squared norm of the mean golden gradient
(debiased): a small step on the clip lowers the golden loss that many times as much as
one along the mean golden gradient would. One clip is noisy, so the estimate is also
shrunk towards the mean of its class by the share of the spread that is noise of the
draws (James and Stein, 1961; Efron and Morris, 1975).
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tqd_probe.core.files import staged
from tqd_probe.gradients.gram import LevelGram
from tqd_probe.probing.workspace import Workspace
from tqd_probe.statistics.u_statistics import u_statistic

COLUMNS = ("clip", "class", "version", "sigma", "usefulness", "error", "shrunk")


@dataclass(frozen=True)
class Usefulness:
    """Usefulness of the clips of one class at one level.

    Attributes:
        values: One per clip ``[N]``.
        error: Standard error of a clip's value by its noise draws; NaN with one draw.
        shrunk: Values shrunk towards their mean; NaN with one draw.
    """

    values: np.ndarray
    error: float
    shrunk: np.ndarray


def class_usefulness(toward: np.ndarray, signal: float, golden: int) -> Usefulness:
    """Compute the usefulness of clips of one class.

    Args:
        toward: Products of every draw with the sum of golden gradients of other clips
            ``[N, R]``.
        signal: ``U_gg``; not positive makes everything NaN.
        golden: How many golden gradients that sum has.

    Returns:
        The usefulness.
    """
    clips, draws = toward.shape
    scale = signal * golden if signal > 0 else np.nan
    values = toward.mean(1) / scale
    if draws == 1:
        return Usefulness(values, float("nan"), np.full(clips, np.nan))
    noise = float((toward / scale).var(1, ddof=1).mean() / draws)
    spread = float(values.var(ddof=1)) if clips > 1 else 0.0
    kept = max(0.0, 1 - noise / spread) if spread > 0 else 0.0
    mean = values.mean()
    return Usefulness(values, float(np.sqrt(noise)), mean + kept * (values - mean))


def level_usefulness(
    gram: LevelGram, versions: list[str], unpaired: dict[str, list[int]]
) -> dict[str, Usefulness]:
    """Compute the usefulness of every version and unpaired class at a level.

    Args:
        gram: Matrices with the one group ``all``.
        versions: Names of the versions, golden first.
        unpaired: Indices among the unpaired clips by class.

    Returns:
        Usefulness by version or class.

    Raises:
        ValueError: If the matrices hold no products of single draws.
    """
    if gram.toward is None:
        raise ValueError("no products of single draws in these matrices")
    clips = gram.products.shape[2]
    signal = u_statistic(gram.products[0, 0, :, 0, :])
    found = {
        name: class_usefulness(gram.toward[0, k], signal, clips - 1)
        for k, name in enumerate(versions)
    }
    for name, rows in unpaired.items():
        if gram.others_toward is not None:
            found[name] = class_usefulness(gram.others_toward[0, rows], signal, clips)
    return found


def write_usefulness(path: Path, workspace: Workspace) -> None:
    """Write the usefulness of every clip at every level.

    Args:
        path: The CSV file.
        workspace: A finished probe.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    kinds = {str(each): each.kind for each in workspace.degradations}
    names = workspace.encoded.ids
    others = workspace.encoded_unpaired.ids if workspace.encoded_unpaired else []
    for level, sigma in enumerate(workspace.sigmas):
        gram = workspace.level(level).all_groups()
        found = level_usefulness(
            gram, workspace.encoded.versions, workspace.unpaired_rows
        )
        for version, some in found.items():
            rows = workspace.unpaired_rows.get(version)
            clips = names if rows is None else [others[row] for row in rows]
            kind = kinds.get(version, version)
            shown = "clip itself" if rows is not None else version
            for clip, value, shrunk in zip(clips, some.values, some.shrunk):
                cells = [value, some.error, shrunk]
                numbers = ["" if not np.isfinite(x) else f"{x:.6g}" for x in cells]
                table.writerow([clip, kind, shown, f"{sigma:.6g}", *numbers])
    with staged(path) as part:
        part.write_text(text.getvalue(), encoding="utf-8")
