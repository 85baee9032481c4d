"""Differences between samplers step by step, on trials written by hand."""

import json
import sys

import pytest

from tqd_probe.core.errors import InputError


def test_differences_are_taken_in_pairs_of_seeds(tmp_path, monkeypatch, capsys):
    from analyses.tables import by_step

    own = {40: 0.5, 41: 0.7}  # which both samplers share
    for name, effect in (("bands_.90", -0.01), ("uniform", 0.0)):
        for seed, level in own.items():
            noise = 0.001 * (seed - 40.5) * (effect != 0)  # -+ .5 thousandths
            curve = [[0, level], [100, level + effect + noise]]
            path = tmp_path / f"A-{name}-{seed}.json"
            path.write_text(json.dumps({"curve": curve}))
    mine = by_step.curves(tmp_path, "A-bands_.90")
    found = by_step.differences(mine, by_step.curves(tmp_path, "A-uniform"))
    assert found["0"]["mean"] == 0
    last = found["100"]
    assert last["mean"] == pytest.approx(-0.01)
    assert last["by_seed"] == pytest.approx([-0.0105, -0.0095])
    # two seeds: 12.706 standard errors of .0005
    assert last["high"] - last["mean"] == pytest.approx(12.7062 * 0.0005, rel=1e-4)
    out = tmp_path / "result.json"
    argv = ["by_step", "--trials", str(tmp_path), "--results", str(out)]
    monkeypatch.setattr(sys, "argv", [*argv, "--pairs", "bands .90 - uniform"])
    by_step.main()
    assert (
        "| bands .90 - uniform | 100 | -10.0 [-16.4, -3.6]"
        in capsys.readouterr().out.replace("**", "")
    )
    with pytest.raises(InputError, match=r"no trial A-none-SEED\.json"):
        by_step.curves(tmp_path, "A-none")
