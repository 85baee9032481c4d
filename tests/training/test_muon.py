"""One optimiser for matrices and the rest, through a whole training."""

import shutil

import torch
from training_runs import options, tensors_of

from tqd_probe.training.muon import MuonWithAdamW
from tqd_probe.training.train import train


def test_each_parameter_has_the_state_of_its_own_optimiser():
    network = torch.nn.Linear(3, 2)
    muon = torch.optim.Muon([network.weight], lr=0.1)
    optimiser = MuonWithAdamW([muon, torch.optim.AdamW([network.bias], lr=0.1)])
    network(torch.ones(1, 3)).sum().backward()
    assert optimiser.step(lambda: 7.0) == 7.0
    assert set(optimiser.state[network.weight]) == {"momentum_buffer"}
    assert set(optimiser.state[network.bias]) == {"step", "exp_avg", "exp_avg_sq"}
    assert [group["lr"] for group in optimiser.param_groups] == [0.1, 0.1]


def test_a_training_by_muon_is_resumed_to_the_same_bytes(pipeline, manifest, tmp_path):
    out = tmp_path / "run"
    few = {"steps": 2, "warmup": 0, "save_every": 1, "batch_size": 2, "hold_out": 0}
    values = options(pipeline, manifest, out, optimizer="muon", **few)
    values |= {"validate_every": 0, "ema_decay": 0}
    train(**values, quiet=True, figures=False)
    before = (tensors_of(out), tensors_of(out, "optimiser"))
    shutil.rmtree(out / "checkpoints" / "step-00000002")
    train(**values, resume=True, quiet=True, figures=False)
    again = (tensors_of(out), tensors_of(out, "optimiser"))
    for old, new in zip(before, again):
        assert old.keys() == new.keys()
        assert all(torch.equal(old[name], new[name]) for name in old)
    assert any(name.startswith("momentum_buffer|") for name in again[1])
