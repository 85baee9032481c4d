import numpy as np
import pytest
from scipy.stats import beta

from tqd_probe.sampling.clip_pool import ClipPool
from tqd_probe.sampling.draw_stream import DrawStream
from tqd_probe.sampling.level_density import (
    density_table,
    density_warnings,
    realised_density,
    repetition_warning,
)
from tqd_probe.sampling.registry import make_sampler


def test_table_and_warnings(schedule):
    pool = ClipPool.of(["golden"] + ["visual_degraded"] * 99)
    stream = DrawStream(make_sampler("bands", schedule=schedule), pool, 0)
    density = realised_density(stream, 5000, boundary=0.875)
    assert density.counts.sum() == 5000
    assert density.counts[1, :6].sum() == 0
    assert density.above["visual_degraded"] == pytest.approx(0.125 / 0.4, abs=0.03)
    text = " ".join(density_warnings(density))
    assert "levels 0 to 0.6 are starved" in text
    assert "0.875" in density_table(density)
    shares = [line.split() for line in density_table(density).splitlines()]
    golden = next(line for line in shares if line[0] == "golden")
    assert float(golden[3]) == pytest.approx(
        100 * density.counts[0].sum() / 5000, abs=0.06
    )
    whole = DrawStream(make_sampler("uniform"), pool, 0)
    assert density_warnings(realised_density(whole, 5000)) == []


def test_floored_and_never_drawn_are_reported(schedule):
    pool = ClipPool.of(["golden", "both_degraded"], [1.0, 0.0], [0.0, 0.0])
    stream = DrawStream(make_sampler("beta", kappa_max=8), pool, 0)
    text = " ".join(density_warnings(realised_density(stream, 500)))
    assert "1 clips have scores so far apart" in text
    assert "class both_degraded is never drawn (1 clips)" in text


@pytest.mark.parametrize("order", ["clip", "level"])
def test_expected_shares_are_those_of_the_draws(order):
    """Half of the draws crowd at sigma 0: the density has no midpoint that shows it."""
    pool = ClipPool.of(["golden", "motion_degraded"], [0.5, 0.0], [0.5, 1.0])
    stream = DrawStream(make_sampler("beta", kappa_max=8, order=order), pool, 0)
    density = realised_density(stream, 4000)
    expected = np.stack([density.shares[name] for name in density.classes])
    assert expected.sum() == pytest.approx(1, abs=1e-9)
    assert density.counts / 4000 == pytest.approx(expected, abs=0.025)
    text = " ".join(density_warnings(density))
    assert ("within 0.001 of sigma 0 or 1" in text) == (order == "clip")
    if order == "clip":
        law = beta(0.1, 8)
        low, high = law.cdf(1e-6), law.cdf(1e-3)
        share = 2 / 3 * (high - low) / (1 - low) + 1 / 3 * 2e-3
        assert density.ends == pytest.approx(share, rel=1e-3)


def test_bands_on_few_clips_that_are_drawn_often_are_questioned():
    assert repetition_warning(clips=168, draws=168 * 19) is None
    assert "drawn 57 times on average" in repetition_warning(clips=168, draws=9600)
