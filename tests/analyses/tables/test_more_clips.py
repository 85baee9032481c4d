"""Two runs paired by seed and clip, on losses known beforehand."""

import json

import numpy as np
import pytest


def test_runs_are_paired_by_seed_and_clip(tmp_path):
    from analyses.tables.more_clips import compare, losses

    rng = np.random.default_rng(0)
    hard = rng.normal(size=(3, 4, 1))  # of seeds and clips, far beyond the difference
    for name, shift in (("fewer", 0.0), ("more", 0.0004)):
        (tmp_path / name).mkdir()
        for seed in range(3 if name == "more" else 2):
            after = hard[seed] + shift + np.array([-0.1, 0.1])  # two buckets
            path = tmp_path / name / f"B-bands_.90-{40 + seed}.json"
            path.write_text(json.dumps({"after": after.tolist()}))
        other = tmp_path / name / "B-bands_.90-of_start-40.json"
        other.write_text(json.dumps({"after": [[9.0]]}))
    fewer, more = (losses(tmp_path / n, "B-bands_.90") for n in ("fewer", "more"))
    np.testing.assert_allclose(fewer[40], hard[0, :, 0])
    found = compare(fewer, more)
    assert found["seeds"] == [40, 41]
    assert found["difference"]["mean"] == pytest.approx(0.0004)
    assert found["difference"]["high"] == pytest.approx(0.0004)
    assert found["holds"] is True
    more = {seed: values + 0.001 for seed, values in more.items()}
    assert compare(fewer, more)["holds"] is False


def test_a_folder_without_trials_is_named(tmp_path):
    from analyses.tables.more_clips import losses
    from tqd_probe.core.errors import InputError

    with pytest.raises(InputError, match="no trial B-bands-SEED"):
        losses(tmp_path, "B-bands")
