"""What share of golden clips' gain a cosine promises, where that has been measured.

From 80 pairs of degradation and noise level on `tiny`, at two stages of its training:
the cosine in Adam's metric before training, and the share of the golden gain that
training at that level then brought (`analyses/worth/expected_gain.py`). One small
network and synthetic clips: for other networks the table orders levels better than it
tells a share.
"""

from __future__ import annotations

import numpy as np

BASIS = "80 pairs of degradation and noise level on `tiny`"
CONFIDENCE = 0.9  # of an interval, for one pair
COSINES = (0.5, 0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.985, 1.0)
SHARES = (-0.94, -0.6, 0.07, 0.07, 0.64, 0.71, 0.78, 0.88, 0.97, 1.0)
LOWS = (-2.13, -2.13, -1.49, -1.49, 0.35, 0.48, 0.6, 0.71, 0.9, 0.94)
HIGHS = (0.03, 0.38, 0.83, 0.83, 0.9, 0.96, 0.96, 1.01, 1.02, 1.03)


def expected_share(cosine: np.ndarray) -> np.ndarray:
    """Return the expected share of the golden gain, with an interval.

    Args:
        cosine: In Adam's metric ``[N]``; NaN stays NaN. Values beyond the table take
            its ends.

    Returns:
        Share, lower and upper bound ``[3, N]``: 1 is as good as golden, 0 useless,
        below 0 harmful.
    """
    return np.stack([np.interp(cosine, COSINES, row) for row in (SHARES, LOWS, HIGHS)])
