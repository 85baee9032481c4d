"""Peaks of passes, counted on the meta device; `memory_table.py` measures them too."""

import pytest
import torch

from analyses.cost.memory_table import peak
from analyses.cost.meta_counts import flash_attention
from analyses.cost.peak_memory import LONG, Pass


def peak_above_weights(one):
    with torch.device("meta"):
        task, action = one.make()
    with flash_attention():
        held = sum(p.nbytes for p in task.network.parameters()) + task.x.nbytes
        return peak(task, action) - held


@pytest.mark.long
@pytest.mark.parametrize("blocks", [4, 8])
def test_checkpointing_saves_in_a_capture_what_it_saves_in_training(blocks):
    """9,216 tokens of width 384."""
    sketched, plain = (
        peak_above_weights(Pass(384, blocks, 1, LONG, way=way, checkpointing=True))
        for way in ("sketched", "plain")
    )
    assert 0 < sketched <= 1.05 * plain
