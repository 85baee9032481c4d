import copy
import math

import pytest
import torch
from accelerate import Accelerator
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from training_runs import fails, options

from tqd_probe.core.errors import InputError
from tqd_probe.training import optimisation
from tqd_probe.training.optimisation import (
    BUILDERS,
    check_optimiser,
    learning_rate,
    make_optimiser,
    set_learning_rate,
)
from tqd_probe.training.parameters import (
    load_optimiser_state,
    optimiser_state,
    trained_parameters,
)
from tqd_probe.training.settings import TrainRunSettings


def settings(**changed):
    return TrainRunSettings(**options("tiny", "synthetic:4", "runs/unused", **changed))


def test_warm_up_then_cosine_to_zero():
    chosen = settings(steps=12, warmup=2, lr=1.0, lr_schedule="cosine")
    rates = [learning_rate(step, chosen) for step in range(12)]
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[7] == pytest.approx(0.5)  # half way from step 2 to 12
    assert rates[11] == pytest.approx(0.5 * (1 + math.cos(0.9 * math.pi)))
    assert learning_rate(12, chosen) == pytest.approx(0)


def test_warm_up_then_constant():
    chosen = settings(steps=12, warmup=4, lr=2.0, lr_schedule="constant")
    rates = [learning_rate(step, chosen) for step in range(12)]
    assert rates == [0.5, 1.0, 1.5] + [2.0] * 9


def test_only_matrices_decay():
    network = torch.nn.Linear(3, 2)
    optimiser = make_optimiser(list(network.parameters()), settings(weight_decay=0.3))
    decay = {
        id(p): g["weight_decay"] for g in optimiser.param_groups for p in g["params"]
    }
    assert decay == {id(network.weight): 0.3, id(network.bias): 0.0}


class Steps:
    """A network whose optimiser is wrapped as a training wraps it."""

    def __init__(self, name, network, **changed):
        if name in optimisation.LIBRARIES:
            pytest.importorskip(optimisation.LIBRARIES[name][0])
        self.network = network
        self.parameters = trained_parameters(network)
        made = make_optimiser(
            list(self.parameters.values()), settings(optimizer=name, **changed)
        )
        self.optimiser = Accelerator(cpu=True).prepare_optimizer(made, True)

    def take(self, steps, lr=0.01):
        for step in steps:
            x = torch.randn(4, 64, generator=torch.Generator().manual_seed(step))
            self.network(x).square().sum().backward()
            set_learning_rate(self.optimiser, lr)
            self.optimiser.step()
            self.optimiser.zero_grad()

    def state(self):
        return optimiser_state(self.optimiser.optimizer, self.parameters)


def network():
    """Two matrices, of which 8 bits hold the larger one's moments, and two vectors."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Linear(64, 2))


@pytest.mark.parametrize("name", BUILDERS)
def test_a_resumed_optimiser_goes_on_to_the_same_bits(name, tmp_path):
    straight = Steps(name, network())
    straight.take(range(3))
    resumed = Steps(name, copy.deepcopy(straight.network))
    save_file(straight.state(), tmp_path / "state.safetensors")
    state = load_file(tmp_path / "state.safetensors")
    load_optimiser_state(resumed.optimiser.optimizer, resumed.parameters, state)
    for each in (straight, resumed):
        each.take(range(3, 5))
    fresh = Steps(name, network())
    fresh.take(range(3))
    fresh = Steps(name, fresh.network)  # as if the state had been forgotten
    fresh.take(range(3, 5))
    for parameter, value in resumed.parameters.items():
        assert torch.equal(value, straight.parameters[parameter]), parameter
    assert not torch.equal(fresh.parameters["0.weight"], resumed.parameters["0.weight"])
    again = resumed.state()
    assert again.keys() == straight.state().keys()
    for key, value in straight.state().items():
        assert torch.equal(again[key], value), key


def first_step(name, lr=0.01):
    """How a step of rate `lr` changes the first matrix, over `lr`."""
    steps = Steps(name, network(), weight_decay=0)
    before = steps.parameters["0.weight"].detach().clone()
    steps.take([0], lr)
    return before, (steps.parameters["0.weight"].detach() - before) / lr


def test_sizes_of_a_first_step():
    start, adamw = first_step("adamw")
    assert float(adamw.abs().max()) == pytest.approx(1, rel=1e-4)
    _, muon = first_step("muon")  # both directions of this gradient alike
    sizes = torch.linalg.svdvals(muon)
    assert sizes[:2].tolist() == pytest.approx([0.2 * 64**0.5] * 2, rel=0.3)
    _, adafactor = first_step("adafactor")
    assert float(adafactor.norm() / start.norm()) == pytest.approx(1, rel=1e-3)


def test_moments_in_8_bits_step_like_those_in_32():
    found, right = (Steps(name, network()) for name in ("adamw8bit", "adamw"))
    for each in (found, right):
        each.take(range(4))
    state = found.state()
    assert state["exp_avg.codes|0.weight"].dtype == torch.uint8
    assert state["exp_avg|1.weight"].dtype == torch.float32  # too small to gain
    gap = found.parameters["0.weight"] - right.parameters["0.weight"]
    assert 0 < float(gap.norm()) < 0.02 * 0.01 * 4 * 64


def test_prodigy_finds_a_step_size_and_keeps_it():
    steps = Steps("prodigy", network())
    steps.take(range(4), lr=1.0)
    sizes = {float(steps.state()[f"d|group:{number}"]) for number in (0, 1)}
    assert len(sizes) == 1
    assert sizes.pop() > 1e-6  # its start


def test_options_of_an_optimiser(monkeypatch, capsys):
    assert settings(optimizer="muon").lr == 1e-3
    given = options("tiny", "synthetic:4", "runs/unused", optimizer="prodigy")
    del given["lr"]
    assert TrainRunSettings(**given).lr == 1.0
    assert TrainRunSettings(**{**given, "lr": 0.5}).lr == 0.5
    assert settings().optimizer == "adamw"
    with pytest.raises(ValidationError, match="--beta1: adafactor has no such mean"):
        settings(optimizer="adafactor", beta1=0.8)
    assert settings(optimizer="adafactor", beta1=0.9).beta1 == 0.9  # of a replayed run
    monkeypatch.setattr(optimisation, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install prodigyopt"):
        check_optimiser(settings(optimizer="prodigy"))
    given |= {"full": True, "optimizer": "adamw8bit"}
    fails(capsys, given, "torchao is not installed", "pip install 'tqd_probe[quant]'")
    monkeypatch.delattr(torch.optim, "Muon")
    monkeypatch.setattr(optimisation, "find_spec", lambda name: name)
    with pytest.raises(InputError, match=r"pip install 'torch>=2\.9'"):
        check_optimiser(settings(optimizer="muon"))
