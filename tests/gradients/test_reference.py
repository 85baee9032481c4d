import torch
from wan_gradients import capture, layout_of, wan_loss

from tqd_probe.gradients import reference


def test_jvp_is_a_second_witness(wan, wan_batch, wan_layout):
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(wan_layout.size, generator=generator, dtype=torch.float64)
    products = reference.directional_derivatives(
        wan, wan_layout, wan_loss, wan_batch, direction
    )
    found = capture(wan, wan_layout, wan_batch).double() @ direction
    torch.testing.assert_close(found, products, rtol=1e-4, atol=1e-6)


def cubes(network, batch):
    """Losses ``(w . x)^3``, whose gradient is ``3 (w . x)^2 x``."""
    return network(batch).flatten() ** 3


def test_all_three_ways_give_the_gradient_known_by_hand():
    network = torch.nn.Linear(4, 1, bias=False)
    layout = layout_of(network)
    batch = torch.randn(5, 4, dtype=torch.float64)
    weight = network.weight.detach().double()
    truth = 3 * (batch @ weight.T) ** 2 * batch
    found = reference.reference_gradients(network, layout, cubes, batch)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, truth, rtol=1e-12, atol=1e-12)
    direction = torch.randn(4, dtype=torch.float64)
    expected = truth @ direction
    forward = reference.directional_derivatives(
        network, layout, cubes, batch, direction
    )
    torch.testing.assert_close(forward, expected, rtol=1e-12, atol=1e-12)
    finite = reference.finite_difference(network, layout, cubes, batch, direction)
    torch.testing.assert_close(finite, expected, rtol=1e-6, atol=1e-6)
