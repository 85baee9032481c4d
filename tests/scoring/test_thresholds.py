import numpy as np
import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.scoring.thresholds import parse_threshold


def test_thresholds():
    normalised = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    assert parse_threshold("0.35").resolve(normalised) == 0.35
    assert parse_threshold("q0.75").resolve(normalised) == pytest.approx(0.4)
    for text in ("", "q", "1.5", "-0.1", "q2", "half", "nan"):
        with pytest.raises(InputError, match=r"q0\.7"):
            parse_threshold(text)
