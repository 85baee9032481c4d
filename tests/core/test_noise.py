import numpy as np
import pytest
import torch

from tqd_probe.core import noise


def test_shift_and_its_inverse():
    u = np.linspace(0, 1, 11)
    assert noise.shift_sigma(u, 3.0)[5] == pytest.approx(0.75)
    assert noise.shift_sigma(u, 1.0) == pytest.approx(u)
    assert noise.unshift_sigma(noise.shift_sigma(u, 5.0), 5.0) == pytest.approx(
        u, abs=1e-14
    )


def test_logsnr_and_its_inverse():
    sigma = np.array([0.05, 0.5, 0.95])
    assert noise.logsnr(sigma) == pytest.approx([5.8888779583, 0, -5.8888779583])
    assert noise.sigma_of_logsnr(noise.logsnr(sigma)) == pytest.approx(sigma, abs=1e-12)


def test_flow_matching():
    x0, eps = torch.randn(3, 2, 4), torch.randn(3, 2, 4)
    sigma = torch.tensor([0.0, 0.25, 1.0])
    x_t = noise.flow_corrupt(x0, eps, sigma)
    assert torch.equal(x_t[0], x0[0])
    assert torch.equal(x_t[2], eps[2])
    torch.testing.assert_close(x_t[1], 0.75 * x0[1] + 0.25 * eps[1])
    # The target is the derivative of x_t with respect to sigma.
    step = noise.flow_corrupt(x0, eps, sigma + 0.5) - x_t
    torch.testing.assert_close(step / 0.5, noise.flow_target(x0, eps))
