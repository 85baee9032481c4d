import pytest
import torch
from wan_gradients import relative, wan_loss

from tqd_probe.core.errors import InputError
from tqd_probe.gradients import reference
from tqd_probe.gradients.capture import GradientCapture
from tqd_probe.gradients.metric import matrix_shape
from tqd_probe.gradients.second_moments import (
    FactoredSquares,
    levels_of_batches,
    mean_of,
    sampled_pairs,
    stored_moments,
)


def test_rows_and_columns_are_means_of_true_squares(wan, wan_batch, wan_layout):
    truth = reference.reference_gradients(wan, wan_layout, wan_loss, wan_batch)
    engine = GradientCapture(wan.double(), wan_layout, FactoredSquares(wan_layout))
    with reference.double_precision():
        found, _ = engine.per_clip(lambda: wan_loss(wan, wan_batch), 8)
    parts = []
    for name, (start, stop) in wan_layout.parameters.items():
        shape = matrix_shape(wan_layout.shapes[name])
        matrix = truth[:, start:stop].reshape(-1, *shape) ** 2
        parts += [matrix.mean(2), matrix.mean(1)]
    assert relative(found, torch.cat(parts, 1)) < 1e-10
    assert found.shape[1] < wan_layout.size / 5


def test_passes_count_by_their_clips():
    passes = iter([torch.tensor([[1.0], [2.0], [6.0]]), torch.tensor([[7.0]])])
    assert mean_of(passes).tolist() == [4.0]


def test_estimates_pass_over_clips_and_levels_evenly():
    chosen = dict(sampled_pairs(clips=24, levels=10))
    assert list(chosen) == list(range(10))
    pairs = {(clip, level) for level, clips in chosen.items() for clip in clips}
    assert len(pairs) == sum(map(len, chosen.values())) == 72
    counts = [len(clips) for clips in chosen.values()]
    assert max(counts) - min(counts) <= 3
    assert sum(len(clips) for _, clips in sampled_pairs(5, 3)) == 15  # all there are
    for levels in levels_of_batches([1] * 8, 10):  # 8 of 10 levels
        assert len(levels) == len(set(levels)) == 8
    assert levels_of_batches([4, 4], 2) == [[0, 1], [1, 0]]


def test_moments_are_estimated_once(tmp_path):
    path = tmp_path / "moments.safetensors"
    made = []

    def estimate():
        made.append(1)
        return torch.tensor([2.25, 1e-20, 0.0, 2.0], dtype=torch.float64)

    for _ in range(2):  # the same before and after: roots have 8 binary digits
        found = stored_moments(path, "a", estimate)
        assert found.tolist() == pytest.approx([2.25, 1e-20, 0.0, 2.0], rel=0.004)
        assert float(found[0]) == 2.25
        assert float(found[3]) == 1.4140625**2
    assert made == [1]
    with pytest.raises(InputError, match="damaged; delete this file and run"):
        stored_moments(path, "b", estimate)
