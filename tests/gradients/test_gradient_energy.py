import json

import pytest
import torch
from wan_gradients import wan_loss

from tqd_probe.core.errors import GradientError, InputError
from tqd_probe.gradients import reference
from tqd_probe.gradients.gradient_energy import measure_energy, stored_energy
from tqd_probe.gradients.metric import FullMetric


def test_shares_are_those_of_the_true_gradients(wan, wan_batch, wan_layout):
    truth = reference.reference_gradients(wan, wan_layout, wan_loss, wan_batch).square()
    expected = {
        name: float(truth[:, start:stop].sum() / truth.sum())
        for name, (start, stop) in wan_layout.parameters.items()
    }
    found = measure_energy(wan, wan_layout, [(lambda: wan_loss(wan, wan_batch), 8)] * 2)
    assert sum(found.values()) == pytest.approx(1, abs=1e-5)
    assert max(found.values()) > 10 * min(found.values())
    for name, share in expected.items():
        assert found[name] == pytest.approx(share, rel=1e-3, abs=1e-9)


def test_a_metric_moves_the_shares(wan, wan_batch, wan_layout):
    scale = torch.zeros(wan_layout.size)
    name = next(reversed(wan_layout.parameters))
    start, stop = wan_layout.parameters[name]
    scale[start:stop] = 3.0
    metric = FullMetric(wan_layout, scale)
    found = measure_energy(
        wan, wan_layout, [(lambda: wan_loss(wan, wan_batch), 8)], metric
    )
    assert found.pop(name) == 1.0
    assert set(found.values()) == {0.0}


def test_a_gradient_of_zero_is_refused(wan, wan_batch, wan_layout):
    with pytest.raises(GradientError, match="squared norm of a golden gradient is 0"):
        measure_energy(wan, wan_layout, [(lambda: 0 * wan_loss(wan, wan_batch), 8)])


def test_what_was_measured_is_kept_and_a_damaged_file_named(tmp_path, wan_layout):
    path = tmp_path / "energy.json"
    shares = dict.fromkeys(wan_layout.parameters, 0.5)
    assert stored_energy(path, wan_layout, lambda: shares) == shares
    assert stored_energy(path, wan_layout, dict) == shares  # not measured again
    for damage in ({}, {**shares, next(iter(shares)): float("nan")}, [1]):
        path.write_text(json.dumps(damage))
        with pytest.raises(InputError, match=r"energy\.json.*; delete this file and"):
            stored_energy(path, wan_layout, dict)
