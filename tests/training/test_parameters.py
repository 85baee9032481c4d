import copy

import pytest
import torch

from tqd_probe.core.errors import InputError
from tqd_probe.training.parameters import (
    gather_named,
    load_optimiser_state,
    load_parameters,
    optimiser_state,
    trained_parameters,
)


def step(network, optimiser, x):
    network(x).square().sum().backward()
    optimiser.step()
    optimiser.zero_grad()


def test_a_restored_optimiser_takes_the_same_step():
    torch.manual_seed(0)
    network, x = torch.nn.Linear(3, 2), torch.randn(4, 3)
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.1)
    for _ in range(2):
        step(network, optimiser, x)
    other = copy.deepcopy(network)
    restored = torch.optim.AdamW(other.parameters(), lr=0.1)
    state = optimiser_state(optimiser, trained_parameters(network))
    assert len(state) == 6  # step and two moments of weight and bias
    load_optimiser_state(restored, trained_parameters(other), state)
    step(network, optimiser, x)
    assert not torch.equal(network.weight, other.weight)
    step(other, restored, x)
    assert torch.equal(network.weight, other.weight)
    assert torch.equal(network.bias, other.bias)


def test_saved_state_is_a_copy():
    network = torch.nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.1)
    step(network, optimiser, torch.ones(1, 3))
    state = optimiser_state(optimiser, trained_parameters(network))
    before = {name: value.clone() for name, value in state.items()}
    step(network, optimiser, torch.ones(1, 3))
    assert all(torch.equal(state[name], before[name]) for name in before)


def test_only_who_writes_a_checkpoint_holds_full_copies():
    network = torch.nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.1)
    step(network, optimiser, torch.ones(1, 3))
    parameters = trained_parameters(network)
    assert optimiser_state(optimiser, parameters, keep=False) == {}
    assert gather_named(parameters, keep=False) == {}
    kept = gather_named(parameters, keep=True)
    assert torch.equal(kept["weight"], network.weight)
    assert kept["weight"].data_ptr() != network.weight.data_ptr()


def test_only_trained_parameters_and_only_known_names():
    network = torch.nn.Linear(3, 2)
    network.bias.requires_grad_(False)
    parameters = trained_parameters(network)
    assert list(parameters) == ["weight"]
    values = {"weight": torch.ones(2, 3)}
    load_parameters(parameters, values)
    assert torch.equal(network.weight, torch.ones(2, 3))
    with pytest.raises(InputError, match="parameter bias is not in both"):
        load_parameters(parameters, {**values, "bias": torch.ones(2)})
