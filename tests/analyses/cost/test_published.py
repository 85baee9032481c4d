"""Published networks on the meta device: sizes, and the estimate of activations."""

import math
from dataclasses import replace

import pytest

from analyses.cost import memory_table
from analyses.cost.memory_table import peak, row, table
from analyses.cost.meta_counts import gpu_kernels
from analyses.cost.published import PUBLISHED, PublishedTask
from tqd_probe.gradients.sketch import DEFAULT_SIZE
from tqd_probe.models.activation_memory import activation_bytes

# Billions, as published.
PARAMETERS = {
    "Wan 2.1 T2V 1.3B": 1.42,
    "Wan 2.1 T2V 14B": 14.29,
    "Wan 2.2 TI2V 5B": 5.00,
    "CogVideoX 2B": 1.69,
    "CogVideoX 5B": 5.57,
    "LTX-Video 2B": 1.92,
    "HunyuanVideo": 12.82,
}
# One of each kind of network: larger ones of a family take as long to count.
ESTIMATED = ["Wan 2.2 TI2V 5B", "CogVideoX 2B", "LTX-Video 2B"]


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_network_has_the_published_number_of_parameters(name):
    network = PUBLISHED[name].network("meta")
    count = sum(p.numel() for p in network.parameters())
    assert count / 1e9 == pytest.approx(PARAMETERS[name], abs=0.005)


@pytest.mark.parametrize("name", ESTIMATED)
def test_the_estimate_of_a_block_s_activations_is_what_the_block_keeps(name):
    """Counted in a plain pass, and with checkpointing in a sketched one."""
    model, found, guess = PUBLISHED[name], {}, {}
    for layers in (2, 4):
        network = model.network("meta", num_layers=layers)
        task = PublishedTask(model, network, 1)
        side = 1 if model.kind == "LTXVideo" else 2
        size = math.prod(task.size) // side**2, model.text
        for on in (False, True):
            if on:
                network.enable_gradient_checkpointing()
            action = task.plain
            if on:
                action = task.capturing(task.engine(DEFAULT_SIZE))
            with gpu_kernels():
                weights = sum(p.nbytes for p in network.parameters())
                found[layers, on] = peak(task, action) - weights
            guess[layers, on] = activation_bytes(
                network, *size, on, level_per_token="TI2V" in name
            )
    kept = found[4, False] - found[2, False]
    assert guess[4, False] - guess[2, False] == pytest.approx(kept, rel=0.15)
    assert guess[4, True] == pytest.approx(found[4, True], rel=0.4)


def test_a_row_of_the_table_is_measured_and_written_in_gigabytes(monkeypatch):
    short = replace(PUBLISHED["LTX-Video 2B"], changes={"num_layers": 3})
    monkeypatch.setattr(memory_table, "SHORT", (1, 2))
    found = row(short, 17)
    assert found["tokens"] == 3 * 16 * 22
    assert set(found["peak"]) == set(found["checkpointed"])
    assert found["peak"]["floor"] < found["peak"]["sketched"] < found["peak"]["plain"]
    assert found["peak"]["whole"] > 4 * found["parameters"]  # a float32 gradient
    line = table({"x": {"name": "LTX", **found}}).splitlines()[-1]
    assert line.startswith("| LTX | 17 x 512 x 704 | 1,056 |")
    assert f"| {found['peak']['plain'] / 1e9:.1f} |" in line


def test_blocks_of_two_kinds_are_both_counted(monkeypatch):
    depths = {"num_layers": 3, "num_single_layers": 4}
    short = replace(PUBLISHED["HunyuanVideo"], changes=depths)
    monkeypatch.setattr(memory_table, "SHORT", (1, 2))
    ways = ("plain", "sketched")
    found = row(short, 5, ways=ways)
    whole = row(short, 5, ways=ways, all_blocks=True)
    assert found["parameters"] == whole["parameters"]
    for setting in ("peak", "checkpointed"):
        for way in ways:
            assert found[setting][way] == pytest.approx(whole[setting][way], rel=0.01)
