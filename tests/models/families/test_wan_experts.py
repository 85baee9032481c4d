import pytest
import torch

from tqd_probe.core.errors import InputError
from tqd_probe.models.load import load_model


def test_wan_does_not_use_its_own_scheduler(encoded):
    """A fresh UniPC adds noise by variance-preserving coefficients: 0.34, not 0.899."""
    model, _batch = encoded("wan")
    scheduler = model.full_pipeline(1.0).scheduler
    zero, one = torch.zeros(1, 4, 1, 1, 1), torch.ones(1, 4, 1, 1, 1)
    wrong = scheduler.add_noise(zero, one, torch.tensor([899]))
    found = model.corrupt(zero, one, torch.tensor([0.899]))
    assert float(found.mean()) == pytest.approx(0.899)
    assert abs(float(wrong.mean()) - 0.899) > 0.3


@pytest.mark.parametrize(
    ("expert", "span"), [("high", (0.875, 1)), ("low", (0, 0.875))]
)
def test_experts_are_two_networks_with_ranges(checkpoint, expert, span):
    model = load_model(str(checkpoint("wan_experts")), expert=expert)
    assert model.sigma_range == span
    assert model.expert == expert
    other = load_model(
        str(checkpoint("wan_experts")), expert={"high": "low", "low": "high"}[expert]
    )
    assert model.fingerprint != other.fingerprint
    assert model.encoder_fingerprint == other.encoder_fingerprint


def test_an_expert_must_be_chosen(checkpoint):
    for expert in (None, "both", "middle"):
        with pytest.raises(InputError, match=r"two experts that meet at sigma 0\.875"):
            load_model(str(checkpoint("wan_experts")), expert=expert)
