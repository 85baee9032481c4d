"""Sums of outer products over tokens."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tqd_probe.gradients import products
from tqd_probe.gradients.products import (
    outer_products,
    output_rows,
    per_clip_rows,
    wide,
)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16])
def test_products_are_those_of_each_clip_in_a_wide_type(kind):
    torch.manual_seed(0)
    left, right = torch.randn(3, 50, 4).to(kind), torch.randn(3, 50, 6).to(kind)
    truth = torch.einsum("bti,btj->bij", left.double(), right.double())
    found = outer_products(left, right)
    assert found.dtype == wide(kind)
    torch.testing.assert_close(found.double(), truth, rtol=1e-5, atol=1e-5)
    place = torch.full((3, 4, 6), torch.nan)
    assert outer_products(left, right, place) is place
    torch.testing.assert_close(place.double(), truth, rtol=1e-5, atol=1e-5)


def test_under_autocast_the_factors_are_multiplied_in_half():
    left, right = torch.randn(1, 9, 2), torch.randn(1, 9, 3).bfloat16()
    expected = outer_products(left.bfloat16(), right)
    assert torch.equal(outer_products(left, right), expected)


@pytest.mark.parametrize("tokens", [4096, 4097])
def test_half_products_of_a_gpu_have_float32_results_and_are_counted(tokens):
    left = torch.empty(2, tokens, 24, dtype=torch.bfloat16, device="meta")
    right = torch.empty(2, tokens, 64, dtype=torch.bfloat16, device="meta")
    with FlopCounterMode(display=False) as flops:
        found = outer_products(left, right)
    assert found.shape == (2, 24, 64)
    assert found.dtype == torch.float32
    assert flops.get_total_flops() == 2 * 2 * tokens * 24 * 64


def test_without_products_that_widen_the_factors_are_cast(monkeypatch):
    """Torch before 2.8, and other vendors' GPUs."""
    assert products.HALF_TO_FLOAT
    monkeypatch.setattr(products, "HALF_TO_FLOAT", False)
    left = torch.empty(2, 50, 24, dtype=torch.bfloat16, device="meta")
    assert outer_products(left, left).dtype == torch.float32


def test_rows_of_a_clip_are_consecutive():
    x = torch.arange(24.0).view(6, 2, 2)  # two rows per clip
    assert torch.equal(per_clip_rows(x, 3)[1], x[2:4].reshape(4, 2))
    y = torch.arange(24.0).view(3, 2, 4)  # channels first
    assert torch.equal(output_rows(y, 3, True)[1], y[1].t())
