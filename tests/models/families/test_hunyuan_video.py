import pytest
import torch

from tqd_probe.models.families.hunyuan_video import GUIDANCE


class Recorder(torch.nn.Module):
    """Takes the network's arguments and returns zeros."""

    def __init__(self, layer):
        super().__init__()
        self.x_embedder = torch.nn.Module()
        self.x_embedder.proj = layer

    def forward(self, **arguments):
        self.arguments = arguments
        return (torch.zeros_like(arguments["hidden_states"]),)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_network_gets_guidance_and_a_fractional_timestep(encoded, dtype):
    model, batch = encoded("hunyuan_video")
    network = Recorder(torch.nn.Linear(1, 1, dtype=dtype))
    sigma = torch.tensor([0.3125, 0.75])
    model.bound_to(network).predict(batch.latents, sigma, batch.conditioning)
    found = network.arguments
    assert found["hidden_states"].dtype == dtype
    assert found["timestep"].dtype == torch.float32
    assert found["timestep"].tolist() == [312.5, 750.0]
    assert found["guidance"].tolist() == [1000 * GUIDANCE] * 2
    pooled = batch.conditioning["pooled_projections"].to(dtype)
    assert torch.equal(found["pooled_projections"], pooled)
