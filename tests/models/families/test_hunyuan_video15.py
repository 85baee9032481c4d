import torch

from tqd_probe.models.families.hunyuan_video15 import IMAGE_TOKENS


class Recorder(torch.nn.Module):
    """Takes the network's arguments and returns zeros."""

    def __init__(self):
        super().__init__()
        self.x_embedder = torch.nn.Module()
        self.x_embedder.proj = torch.nn.Linear(1, 1)

    def forward(self, **arguments):
        self.arguments = arguments
        return (torch.zeros_like(arguments["hidden_states"]),)


def test_the_channels_of_the_image_and_its_mask_are_zero(encoded):
    model, batch = encoded("hunyuan_video_15")
    network = Recorder()
    sigma = torch.tensor([0.25, 0.5])
    model.bound_to(network).predict(batch.latents, sigma, batch.conditioning)
    found = network.arguments
    channels = batch.latents.shape[1]
    assert found["hidden_states"].shape[1] == 2 * channels + 1
    assert torch.equal(found["hidden_states"][:, :channels], batch.latents)
    assert not found["hidden_states"][:, channels:].any()
    assert found["image_embeds"].shape[:2] == (2, IMAGE_TOKENS)
    assert not found["image_embeds"].any()
    assert found["timestep"].tolist() == [250.0, 500.0]
