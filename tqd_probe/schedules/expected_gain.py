"""What share of golden clips' gain a cosine promises, where that has been measured.

From 394 pairs of degradation and noise level, on `tiny` at two stages of its training,
a network of 18 million parameters and a tiny CogVideoX: the cosine in Adam's metric
before training, and the share of the golden gain that training at that level then
brought (`analyses/worth/expected_gain.py`). Made without the larger network, intervals
hold only 60 % of its pairs: on other checkpoints the table orders levels better than it
tells a share.
"""

from __future__ import annotations

import numpy as np

BASIS = "394 pairs of degradation and noise level on small networks"
CONFIDENCE = 0.9  # of an interval, for one pair
COSINES = (0.5, 0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.985, 1.0)
SHARES = (-0.91, -0.41, 0.21, 0.21, 0.64, 0.68, 0.75, 0.76, 0.91, 1.0)
LOWS = (-2.99, -2.46, -1.2, -1.2, 0.07, 0.2, 0.2, 0.4, 0.71, 0.99)
HIGHS = (0.84, 0.84, 1.08, 1.08, 1.09, 1.09, 1.09, 1.09, 1.09, 1.09)


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
