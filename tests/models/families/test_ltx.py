import torch

from tqd_probe.clips.shape import ClipShape


def test_ltx_positions_follow_the_frame_rate(encoded):
    model, batch = encoded("ltx")
    sigma, shape = torch.tensor([0.4, 0.4]), model.native
    with torch.no_grad():
        slow = model.predict(batch.latents, sigma, batch.conditioning)
        model.check_shape(ClipShape(shape.frames, shape.height, shape.width, 4))
        fast = model.predict(batch.latents, sigma, batch.conditioning)
        model.check_shape(shape)
    assert (slow - fast).abs().max() > 1e-5
