import math

import pytest
import torch
from training_runs import options

from tqd_probe.training.optimisation import learning_rate, make_optimiser
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
