"""How trained models are judged beside their losses: by what they generate.

The proxies of `tqd_probe.score` (flow and how smooth it is, sharpness, noise, contrast)
on clips made from the captions of held-out golden clips, the same noise for every
model; and how far their distribution is from that of the golden clips: the Frechet
distance between Gaussians of a few standardised statistics (Heusel et al., 2017, with
these statistics in place of a network's features).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import t as student

from tqd_probe.scoring.proxies import measure, motion_proxy, visual_proxy

MOTION = ("flow", "turning")
APPEARANCE = ("detail", "noise", "contrast", "red", "green", "blue")
SHOWN = ("flow", "smoothness", "motion", "visual")


def statistics(videos: np.ndarray, fps: float) -> list[dict[str, float]]:
    """Measure clips.

    Args:
        videos: uint8 RGB ``[N, T, H, W, 3]``.
        fps: Frames per second.

    Returns:
        Components, mean colours, smoothness (1 - turning) and both proxies of each.
    """
    rows = []
    for video in videos:
        parts = measure(video, len(video), fps)
        colour = video.mean((0, 1, 2)) / 255
        parts |= {k: float(v) for k, v in zip(("red", "green", "blue"), colour)}
        parts |= {"motion": motion_proxy(parts), "visual": visual_proxy(parts)}
        rows.append(parts | {"smoothness": 1 - parts["turning"]})
    return rows


def frechet(
    rows: list[dict[str, float]], golden: list[dict[str, float]], names: tuple[str, ...]
) -> float:
    """Return the Frechet distance of statistics, standardised by the golden clips.

    Args:
        rows: Statistics of generated clips.
        golden: Those of golden clips.
        names: Which statistics.

    Returns:
        ``|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))``.
    """
    own, other = (np.array([[r[n] for n in names] for r in s]) for s in (rows, golden))
    spread = np.maximum(other.std(0, ddof=1), 0.01)
    own, other = own / spread, other / spread
    a, b = np.cov(own.T), np.cov(other.T)
    # Eigenvalues of a product of two covariances are not negative.
    roots = np.sqrt(np.maximum(np.linalg.eigvals(a @ b).real, 0))
    gap = own.mean(0) - other.mean(0)
    return float(gap @ gap + np.trace(a + b) - 2 * roots.sum())


def over_seeds(values: list[float]) -> dict[str, Any]:
    """Return a mean and its 95 % interval over seeds (Student's t).

    Args:
        values: One per seed.

    Returns:
        Mean, and low and high; None for one seed.
    """
    x = np.array(values, float)
    mean = float(x.mean())
    if len(x) < 2:
        return {"mean": mean, "ci": None}
    half = float(student.ppf(0.975, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x)))
    return {"mean": mean, "ci": [mean - half, mean + half]}
