import pytest
import torch
from safetensors.torch import save_file

from tqd_probe.core.errors import InputError
from tqd_probe.gradients.metric import estimate_moments, metric_scale, read_adam_state


def test_scaled_gradients_have_adams_inner_product():
    torch.manual_seed(0)
    a, b = torch.randn(2, 30, dtype=torch.float64)
    moments = torch.rand(30, dtype=torch.float64) + 0.1
    scale = metric_scale(moments).double()
    expected = (a * b / (moments.sqrt() + 1e-8)).sum()
    assert float((a * scale) @ (b * scale)) == pytest.approx(float(expected), rel=1e-6)


def test_a_step_of_adam_changes_the_loss_by_that_product():
    """One step of torch's Adam on loss b changes loss a by -lr <a, b>."""
    target = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    p = torch.nn.Parameter(torch.zeros(3, dtype=torch.float64))
    gradient_b = torch.tensor([0.3, -0.1, 2.0], dtype=torch.float64)
    before = ((p - target) ** 2).sum()
    (gradient_a,) = torch.autograd.grad(before, p)
    optimiser = torch.optim.Adam([p], lr=1e-6, betas=(0.0, 0.0))
    p.grad = gradient_b.clone()
    optimiser.step()
    moments = optimiser.state[p]["exp_avg_sq"]
    scale = metric_scale(moments).double()
    product = float((gradient_a * scale) @ (gradient_b * scale))
    change = float((((p - target) ** 2).sum() - before).detach())
    assert change == pytest.approx(-1e-6 * product, rel=1e-4)


def test_moments_are_read_by_name(wan, wan_layout, tmp_path):
    path = tmp_path / "adam.safetensors"
    state = {
        f"exp_avg_sq.{name}": torch.full(shape, float(k + 1))
        for k, (name, shape) in enumerate(wan_layout.shapes.items())
    }
    save_file(state, path)
    found, note = read_adam_state(path, wan_layout)
    assert found.shape == (wan_layout.size,)
    start, stop = list(wan_layout.parameters.values())[2]
    assert (found[start:stop] == 3.0).all()
    assert note.startswith("sha256:")
    first = next(iter(state))
    save_file({**state, first: -state[first]}, path)
    with pytest.raises(InputError, match="finite and not negative"):
        read_adam_state(path, wan_layout)
    save_file({**state, first: torch.ones(2)}, path)
    with pytest.raises(InputError, match="2 numbers"):
        read_adam_state(path, wan_layout)


def test_estimates_pass_over_clips_and_levels_evenly():
    seen = []

    def gradient(clip, level):
        seen.append((clip, level))
        return torch.full((2,), float(level))

    found = estimate_moments(gradient, clips=24, levels=10)
    assert len(seen) == len(set(seen)) == 72
    counts = [sum(level == each for _, each in seen) for level in range(10)]
    assert max(counts) - min(counts) <= 3
    assert float(found[0]) == pytest.approx(sum(lv**2 for _, lv in seen) / 72)
