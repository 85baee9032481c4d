"""One colour per class and per other thing drawn, for every figure (Okabe and Ito)."""

from __future__ import annotations

CLASS_COLOURS = {
    "golden": "#E69F00",
    "visual_degraded": "#0072B2",
    "motion_degraded": "#009E73",
    "both_degraded": "#CC79A7",
}
BAND_COLOUR = "#D55E00"
AVOID_COLOUR = "1.0"
COLOURS = {
    **CLASS_COLOURS,
    "pooled": "0.55",
    "beta": "0.3",
    "mixture": BAND_COLOUR,
}
SERIES = "colorblind"  # seaborn's palette for curves that are no classes
