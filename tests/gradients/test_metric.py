import numpy as np
import pytest
import torch

from tqd_probe.core.errors import GradientError
from tqd_probe.gradients.layout import Layout
from tqd_probe.gradients.metric import (
    DAMPING,
    factored_metric,
    factored_size,
    full_metric,
    matrix_shape,
)
from tqd_probe.gradients.second_moments import factored_squares

CPU = torch.device("cpu")
SHAPES = {"blocks.0.w": (20, 30), "b": (20,), "patch": (6, 2, 1, 2, 2), "table": (1, 9)}


def layout_of(shapes):
    parameters, at = {}, 0
    for name, shape in shapes.items():
        stop = at + int(np.prod(shape))
        parameters[name], at = (at, stop), stop
    return Layout(parameters, {"all": (0, at)}, dict(shapes), at)


LAYOUT = layout_of(SHAPES)


def squares(seed=0, rank=None):
    """Second moments ``[size]``; of rank 1 by parameter where asked for."""
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for shape in SHAPES.values():
        out, into = matrix_shape(shape)
        left = torch.rand(out, rank or into, generator=generator).double() + 0.1
        right = torch.rand(rank or into, into, generator=generator).double() + 0.1
        parts.append((left @ right if rank else left * right[:1]).flatten() ** 2)
    return torch.cat(parts)


def factored(moments):
    """The rows and columns of full moments."""
    parts = [
        factored_squares(moments[a:b].sqrt()[None], LAYOUT.shapes[name])[0]
        for name, (a, b) in LAYOUT.parameters.items()
    ]
    return torch.cat(parts)


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_inner_products_are_weighed_by_damped_second_moments(power):
    a, b = torch.randn(2, LAYOUT.size, dtype=torch.float64)
    moments = squares()
    metric = full_metric(LAYOUT, moments, power, CPU)
    root = moments.sqrt()
    damped = root + DAMPING * float(np.median(root))
    scale = metric.scale.double()
    expected = float((a * b / damped ** (2 * power)).sum())
    assert float((a * scale) @ (b * scale)) == pytest.approx(expected, rel=1e-5)
    start, stop = LAYOUT.parameters["patch"]
    part = metric.scaled("patch", a[None, start:stop].view(1, *SHAPES["patch"]))
    assert torch.equal(part.flatten(), (a * scale)[start:stop])


def test_a_step_of_adam_changes_the_loss_by_that_product():
    """One step of torch's Adam on loss b changes loss a by -lr <a, b>."""
    target = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    p = torch.nn.Parameter(torch.zeros(3, dtype=torch.float64))
    gradient_b = torch.tensor([0.3, -0.1, 2.0], dtype=torch.float64)
    before = ((p - target) ** 2).sum()
    (gradient_a,) = torch.autograd.grad(before, p)
    damping = DAMPING * 0.3  # the median root
    optimiser = torch.optim.Adam([p], lr=1e-6, betas=(0.0, 0.0), eps=damping)
    p.grad = gradient_b.clone()
    optimiser.step()
    moments = optimiser.state[p]["exp_avg_sq"]
    metric = full_metric(layout_of({"p": (3,)}), moments, 0.5, CPU)
    scale = metric.scale.double()
    product = float((gradient_a * scale) @ (gradient_b * scale))
    change = float((((p - target) ** 2).sum() - before).detach())
    assert change == pytest.approx(-1e-6 * product, rel=1e-4)


def test_entries_with_almost_no_gradient_do_not_dominate():
    """Undamped, a thousandth of the entries would be all of the product."""
    moments = torch.ones(1000, dtype=torch.float64)
    moments[0] = 1e-16
    metric = full_metric(layout_of({"p": (1000,)}), moments, 1.0, CPU)
    shares = metric.scale.double() ** 2
    assert float(shares[0] / shares[1]) == pytest.approx((1.1 / 0.1) ** 2, rel=1e-3)


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_factors_of_rank_one_moments_are_those_of_full_ones(power):
    """Most to some per cent; where row and column are small, damping is weaker."""
    moments = squares(rank=1)
    full = full_metric(LAYOUT, moments, power, CPU)
    metric = factored_metric(LAYOUT, factored(moments), power, CPU)
    assert len(factored(moments)) == factored_size(LAYOUT)
    ones = torch.ones(1, LAYOUT.size)
    for name, (start, stop) in LAYOUT.parameters.items():
        one = ones[:, start:stop].view(1, *SHAPES[name])
        found = metric.scaled(name, one).flatten()
        assert torch.equal(found, torch.from_numpy(metric.entry_factors(name)))
        ratio = (found / full.scale[start:stop]).double()
        assert float((ratio - 1).abs().median()) < 0.04 * power
        vector = 1 in matrix_shape(SHAPES[name])  # exact but for bfloat16's digits
        assert float((ratio - 1).abs().max()) < (0.005 if vector else 1.2 * power)


def test_columns_have_the_digits_of_bfloat16():
    metric = factored_metric(LAYOUT, factored(squares()), 0.5, CPU)
    for columns in metric.columns.values():
        assert torch.equal(columns, columns.bfloat16().float())
        assert 0.2 < float(columns.median()) < 5


def test_the_median_of_factored_roots_is_that_of_all_entries():
    """A scalar on its own row tells the damping: (0 + d) ** -1."""
    shapes = {**SHAPES, "unused": (4, 4)}
    layout = layout_of(shapes)
    moments = torch.cat([factored(squares()), torch.zeros(8, dtype=torch.float64)])
    metric = factored_metric(layout, moments, 1.0, CPU)
    roots, at = [], 0
    for shape in SHAPES.values():
        out, into = matrix_shape(shape)
        r, c = moments[at : at + out], moments[at + out : at + out + into]
        roots.append((torch.outer(r, c) / r.mean()).sqrt().flatten())
        at += out + into
    damping = 1 / float(metric.scaled("unused", torch.ones(1, 4, 4))[0, 0, 0])
    assert damping == pytest.approx(
        DAMPING * float(np.median(torch.cat(roots))), rel=5e-3
    )


def test_moments_that_are_all_zero_are_refused():
    zero = torch.zeros(factored_size(LAYOUT))
    with pytest.raises(GradientError, match="second moments of golden gradients"):
        factored_metric(LAYOUT, zero, 0.5, CPU)
    with pytest.raises(GradientError, match="use --metric raw"):
        full_metric(LAYOUT, torch.zeros(LAYOUT.size), 0.5, CPU)
