"""Work of a pass of Wan 2.1 1.3B at 17 frames, counted on the meta device."""

import pytest
import torch
from wan_gradients import layout_of

from analyses.cost.meta_counts import OperatorCounts, flash_attention, wan_1_3b
from tqd_probe import per_clip_gradients
from tqd_probe.gradients.capture import GradientCapture
from tqd_probe.gradients.kept_gradients import Sketched
from tqd_probe.gradients.metric import factored_metric, factored_size
from tqd_probe.gradients.sketch import Sketch

CLIPS, LATENT, TEXT = 2, (16, 5, 60, 104), (512, 4096)  # 17 frames of 480 x 832
PRODUCTS = ("mm", "addmm", "bmm", "convolution", "convolution_backward")


class Counted:
    """What one pass costs."""

    def __init__(self, run):
        with flash_attention(), OperatorCounts() as counts:
            self.result = run()
        self.kernels, self.bytes = counts.kernels, counts.bytes
        self.products = sum(counts.flops_by_operator[name] for name in PRODUCTS)


@pytest.fixture(scope="module")
def work():
    """The network, and its losses on two clips."""
    network = wan_1_3b()
    with torch.device("meta"):
        x, target = torch.empty(2, CLIPS, *LATENT, dtype=torch.bfloat16).unbind()
        text = torch.empty(CLIPS, *TEXT, dtype=torch.bfloat16)
        time = torch.empty(CLIPS)

    def losses():
        out = network(x, time, text, return_dict=False)[0]
        return (out.float() - target).square().flatten(1).mean(1)

    return network, losses


@pytest.fixture(scope="module")
def passes(work):
    """A plain pass, and a sketched one in a factored metric."""
    network, losses = work

    def plain():
        losses().sum().backward()
        network.zero_grad()

    layout = layout_of(network)
    moments = torch.rand(factored_size(layout))
    metric = factored_metric(layout, moments, 0.5, torch.device("cpu"))
    kept = Sketched(Sketch(layout, 49_152, metric=metric))
    engine = GradientCapture(network, layout, kept)

    def sketched():
        return engine.per_clip(losses, CLIPS)[0]

    return Counted(plain), Counted(sketched)


@pytest.mark.long
def test_a_sketched_pass_is_as_thin_as_a_plain_one(passes):
    plain, sketched = passes
    assert plain.kernels > 7000
    assert sketched.kernels <= 1.15 * plain.kernels
    assert sketched.bytes <= 1.0 * plain.bytes
    # Attention costs the same in both; without the products of weight gradients two
    # thirds of the layers' are left.
    assert 2 / 3 * plain.products < sketched.products <= 0.69 * plain.products


@pytest.mark.long
def test_sketches_are_float32_and_of_the_size_asked_for(passes):
    result = passes[1].result
    assert result.shape == (CLIPS, 49_152)
    assert result.dtype == torch.float32


@pytest.mark.long
def test_the_public_function_runs_at_real_size(work):
    with flash_attention():
        found = per_clip_gradients(*work, CLIPS, sketch=49_152)
    assert found.is_meta
    assert (found.shape, found.dtype) == ((CLIPS, 49_152), torch.float32)
