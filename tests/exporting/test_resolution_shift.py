import math

import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.exporting.resolution_shift import image_tokens, linear_mu, shift_of
from tqd_probe.exporting.trainer_format import VideoShape


def test_mu_is_a_line_and_not_clamped():
    line = ((1024, 0.95), (4096, 2.05))
    assert linear_mu(1024, *line) == pytest.approx(0.95)
    assert linear_mu(4096, *line) == pytest.approx(2.05)
    # shared by LTX-2 trainers: 3.5 at 8,160 tokens, 6.4 at 16,320
    assert linear_mu(8160, *line) == pytest.approx(3.505, abs=0.001)
    assert linear_mu(16_320, *line) == pytest.approx(6.427, abs=0.001)
    assert shift_of(2.05) == pytest.approx(math.exp(2.05))


def test_tokens_of_a_frame():
    assert image_tokens(VideoShape(81, 480, 832), "x") == 30 * 52
    assert image_tokens(VideoShape(81, 480, 832), "x", patch=1) == 60 * 104
    with pytest.raises(InputError, match=r"x: the shift depends on the size"):
        image_tokens(None, "x")
