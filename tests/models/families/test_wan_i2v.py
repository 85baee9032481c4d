import torch

from tqd_probe.clips.synthetic import synthetic_clip


def test_the_first_frame_of_a_degraded_clip_conditions_on_its_own_frame(encoded):
    model, batch = encoded("wan_image")
    video = synthetic_clip(0, 1).read(model.native)
    same, other = model.encode_images(video), model.encode_images(255 - video)
    torch.testing.assert_close(same["condition"], batch.conditioning["condition"][0])
    mask = same["condition"][:4]
    assert mask[:, 0].min() == 1
    assert mask[:, 1:].max() == 0
    assert (same["condition"] - other["condition"])[4:].abs().max() > 0.01
    kept = video.copy()
    kept[1:] = 0
    torch.testing.assert_close(
        model.encode_images(kept)["condition"], same["condition"]
    )
