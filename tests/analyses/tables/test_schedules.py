"""The SANA-Video rule as a schedule."""

import numpy as np
import pytest
from scipy.special import logit
from scipy.stats import norm

from tqd_probe.sampling.clip_pool import ClipPool
from tqd_probe.sampling.registry import make_sampler
from tqd_probe.schedules.band_schedule import BandSchedule


def test_sana_rule_draws_logit_normals_moved_by_its_offsets(tmp_path):
    from analyses.tables.schedules import sana_schedule

    path = tmp_path / "sana.json"
    counts = {"golden": 20, "visual_degraded": 50, "motion_degraded": 30}
    assert sana_schedule("tiny", path, counts) < 0.01
    sampler = make_sampler("mixture", schedule=BandSchedule.load(path))
    names = list(counts)
    pool = ClipPool.of(names, [None] * 3, [None] * 3)
    p = np.array([0.25, 0.5, 0.75])
    for row, offset in enumerate((0.0, 1.1, -1.1)):
        levels = [sampler.quantile(np.full(3, q), pool)[row] for q in p]
        assert logit(levels) == pytest.approx(norm.ppf(p) + offset, abs=0.06)
