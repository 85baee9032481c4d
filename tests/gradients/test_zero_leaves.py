"""Functions that give a zero leaf the gradient of a layer's parameter."""

import pytest
import torch

from tqd_probe.gradients.zero_leaves import (
    LinearLeaves,
    PlacedForm,
    ProjectedLinearLeaves,
    ScaleLeaf,
    SpreadLeaf,
)

FLAT = PlacedForm()


def leaf(clips, size):
    """A leaf of zeros that takes no memory."""
    return torch.zeros(()).expand(clips, size).requires_grad_()


def kept_sizes(run):
    """Elements of the tensors that autograd keeps for the backward pass."""
    sizes = []

    def pack(tensor):
        sizes.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        return run(), sizes


def test_the_output_is_passed_on_and_its_gradient_too():
    torch.manual_seed(0)
    x, y = torch.randn(2, 5, 3), torch.randn(2, 5, 4, requires_grad=True)
    w, b = leaf(2, 12), leaf(2, 4)
    out = LinearLeaves.apply(y, x, w, b, 2, (FLAT, FLAT), False)
    assert torch.equal(out, y)
    g = torch.randn(2, 5, 4)
    found = torch.autograd.grad(out, [y, w, b], g)
    assert torch.equal(found[0], g)
    truth = torch.einsum("bto,bti->boi", g, x).flatten(1)
    torch.testing.assert_close(found[1], truth)
    torch.testing.assert_close(found[2], g.sum(1))


@pytest.mark.parametrize("ones", [0, 1, 8])  # added by the offset; 0: appended
@pytest.mark.parametrize("joined", [False, True])
def test_of_a_projected_input_a_few_numbers_per_token_are_kept(ones, joined):
    torch.manual_seed(0)
    x, y = torch.randn(2, 50, 30), torch.randn(2, 50, 20)
    signs = torch.randn(30, 4).sign()
    projection = torch.nn.functional.pad(signs, (0, ones))
    offset = torch.tensor([0.0] * 4 + [1.0] * ones) if ones else None
    w, b = (leaf(2, 100), None) if joined else (leaf(2, 80), leaf(2, 20))
    out, sizes = kept_sizes(
        lambda: ProjectedLinearLeaves.apply(y, x, projection, offset, w, b, 2, False)
    )
    assert sizes == [2 * 50 * (4 + max(ones, 1))]
    g = torch.randn(2, 50, 20)
    found = torch.autograd.grad(out, [w] if joined else [w, b], g)
    dense = torch.einsum("bti,ik,bto->bko", x, signs, g).flatten(1)
    truth = torch.cat([dense, g.sum(1)], 1)
    torch.testing.assert_close(torch.cat(found, 1), truth, rtol=1e-4, atol=1e-4)


def test_the_scale_of_a_norm_comes_from_its_output():
    torch.manual_seed(0)
    normal, weight = torch.randn(3, 7, 6), torch.randn(6)
    out = ScaleLeaf.apply(normal * weight, weight, scale := leaf(3, 6), 3, FLAT)
    g = torch.randn(3, 7, 6)
    (found,) = torch.autograd.grad(out, scale, g)
    torch.testing.assert_close(found, (g * normal).sum(1), rtol=1e-4, atol=1e-4)


def test_a_parameter_is_repeated_without_memory():
    value, each = torch.randn(2, 3), leaf(4, 6)
    spread = SpreadLeaf.apply(value, each, 4, FLAT)
    assert spread.shape == (4, 2, 3)
    assert spread.untyped_storage().nbytes() == value.untyped_storage().nbytes()
    g = torch.randn(4, 2, 3)
    (found,) = torch.autograd.grad(spread, each, g)
    assert torch.equal(found, g.flatten(1))
