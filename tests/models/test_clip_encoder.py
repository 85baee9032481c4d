import torch

from tqd_probe.clips.degradations import Degradation
from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.models.clip_encoder import ClipEncoder
from tqd_probe.models.load import load_model


def test_golden_clips_are_encoded_once_for_all_seeds(pipeline, tmp_path, monkeypatch):
    model = load_model(str(pipeline), "cpu", "fp32")
    encoded = []
    encode = model.encode_video

    def counted(video):
        encoded.append(video)
        return encode(video)

    monkeypatch.setattr(model, "encode_video", counted)
    clip, noise = synthetic_clip(0, 0), Degradation("noise", 3)
    golden, degraded = [], []
    for seed in (0, 1):
        encoder = ClipEncoder(model, model.native, seed, tmp_path / "cache")
        golden.append(encoder.latents(clip, None))
        degraded.append(encoder.latents(clip, noise))
    assert len(encoded) == 3  # the golden clip, and noise of two seeds
    assert torch.equal(*golden)
    assert not torch.equal(*degraded)
