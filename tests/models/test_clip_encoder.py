"""The encoder with a model whose encoders are counted and known by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tqd_probe.clips.degradations import Degradation
from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.core.errors import BadClip, InputError
from tqd_probe.core.float32_precision import float32_precision
from tqd_probe.models.clip_encoder import (
    ClipEncoder,
    default_cache,
    encode_clips,
    make_cache,
)
from tqd_probe.models.load import load_model

SHAPE = ClipShape(5, 16, 16, 16)
BLUR = Degradation("blur", 3)


class Encoders:
    """Latents are the mean colours of the frames; text is the caption's length."""

    encoder_fingerprint = "sha256:0"
    source = "known"
    device = torch.device("cpu")
    dtype = vae_dtype = torch.float32
    takes_images = True

    def __init__(self, broken=()):
        self.calls, self.broken = [], broken

    def encode_video(self, video):
        self.calls.append("video")
        return torch.from_numpy(video.mean((1, 2))).float()

    def encode_caption(self, caption):
        self.calls.append("caption")
        value = float("nan") if "caption" in self.broken else len(caption)
        return {"encoder_hidden_states": torch.tensor([[float(value)]])}

    def encode_images(self, video):
        self.calls.append("images")
        return {"condition": torch.from_numpy(video[0].mean((0, 1))).float()}


class Damaged:
    id, caption = "damaged", "a damaged clip"

    def identity(self):
        return "damaged"

    def read(self, shape, slow=1.0):
        raise BadClip("damaged: video: cannot be decoded")


def encode(folder, clips, max_bad=0, model=None, workers=0):
    model = model or Encoders()
    encoder = ClipEncoder(model, SHAPE, 0, folder, workers)
    return model, encode_clips(encoder, clips, (BLUR,), max_bad=max_bad)


def test_versions_share_a_caption_and_have_their_own_frames(tmp_path):
    clips = [synthetic_clip(index) for index in range(3)]
    _, found = encode(tmp_path, clips)
    assert found.versions == ["golden", "blur:3"]
    assert found.ids == [clip.id for clip in clips]
    for index, clip in enumerate(clips):
        for name, video in (
            ("golden", clip.read(SHAPE)),
            ("blur:3", BLUR.apply(clip, SHAPE, 0)),
        ):
            mean = video.mean((1, 2))
            np.testing.assert_allclose(found.latents[name][index], mean, rtol=1e-6)
            image = found.images[name]["condition"][index]
            np.testing.assert_allclose(image, mean[0], rtol=1e-6)
    batch = found.batch(1, ["blur:3", "golden"])
    assert torch.equal(batch.latents[1], found.latents["golden"][1])
    text = batch.conditioning["encoder_hidden_states"]
    assert text.flatten().tolist() == [len(clips[1].caption)] * 2
    wanted = found.images["blur:3"]["condition"][1]
    assert torch.equal(batch.conditioning["condition"][0], wanted)


def test_threads_change_no_latents_no_order_and_no_quarantine(tmp_path):
    clips = [synthetic_clip(0), Damaged(), *map(synthetic_clip, range(1, 5))]
    encode(tmp_path / "3", clips[2:3])  # partly in the cache
    found = [
        encode(tmp_path / str(workers), clips, max_bad=1, workers=workers)
        for workers in (0, 3)
    ]
    (_, none), (_, three) = found
    assert none.ids == three.ids == [clip.id for clip in clips if clip is not clips[1]]
    assert none.quarantine == three.quarantine
    for version in none.versions:
        assert torch.equal(none.latents[version], three.latents[version])
        images = (each.images[version]["condition"] for each in (none, three))
        assert torch.equal(*images)
    with pytest.raises(BadClip, match=r"^damaged: video: cannot be decoded$"):
        encode(tmp_path / "bad", clips, workers=3)


def test_everything_is_encoded_once(tmp_path):
    clips = [synthetic_clip(0)]
    model, first = encode(tmp_path, clips)
    assert sorted(model.calls) == ["caption", "images", "images", "video", "video"]
    again, second = encode(tmp_path, clips)
    assert again.calls == []
    assert torch.equal(first.latents["blur:3"], second.latents["blur:3"])
    other = Encoders()
    other.encoder_fingerprint = "sha256:1"
    encode(tmp_path, clips, model=other)
    assert len(other.calls) == 5


@pytest.mark.parametrize(
    ("name", "again"),
    [
        ("vae_dtype", ["images", "images", "video", "video"]),
        ("dtype", ["caption", "images", "images"]),  # text and image encoders
    ],
)
def test_another_number_type_is_encoded_anew(tmp_path, name, again):
    encode(tmp_path, [synthetic_clip(0)])
    other = Encoders()
    setattr(other, name, torch.bfloat16)
    encode(tmp_path, [synthetic_clip(0)], model=other)
    assert sorted(other.calls) == again
    other.calls.clear()
    encode(tmp_path, [synthetic_clip(0)], model=other)
    assert other.calls == []


def test_a_damaged_cache_entry_is_named(tmp_path):
    encode(tmp_path, [synthetic_clip(0)])
    path = next((tmp_path / "text").rglob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=f"{path.name}: damaged cache entry"):
        encode(tmp_path, [synthetic_clip(0)])


def test_bad_clips_are_quarantined_up_to_a_number(tmp_path):
    clips = [synthetic_clip(0), Damaged()]
    _, found = encode(tmp_path, clips, max_bad=1)
    assert found.ids == [clips[0].id]
    assert found.quarantine == {"damaged": "damaged: video: cannot be decoded"}
    with pytest.raises(BadClip, match="cannot be decoded"):
        encode(tmp_path, clips)


def test_captions_that_are_not_finite_are_the_checkpoints_fault(tmp_path):
    with pytest.raises(InputError, match="--ckpt known: text_encoder"):
        encode(tmp_path, [synthetic_clip(0)], model=Encoders(("caption",)))


def test_the_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("TQD_PROBE_CACHE", raising=False)
    assert default_cache() == tmp_path / "tqd_probe"
    monkeypatch.setenv("TQD_PROBE_CACHE", str(tmp_path / "other"))
    assert default_cache() == tmp_path / "other"
    assert make_cache(None).is_dir()
    monkeypatch.delenv("TQD_PROBE_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(InputError, match="--cache: there is no home directory"):
        default_cache()
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be made .* --cache, or set TQD"):
        make_cache(tmp_path / "file" / "below")


def no_home():
    raise RuntimeError("Could not determine home directory.")


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


def test_latents_rounded_to_tf32_are_kept_apart(tmp_path):
    """Only of a float32 autoencoder, and only on a GPU."""
    clip, model = synthetic_clip(0), Encoders()
    encoder = ClipEncoder(model, SHAPE, 0, tmp_path)

    def keys(device, dtype):
        model.device, model.vae_dtype = torch.device(device), dtype
        found = []
        for tf32 in (False, True):
            with float32_precision(tf32):
                found.append(encoder._key("latents", clip, None))
        return found

    on_cpu, on_gpu = keys("cpu", torch.float32), keys("cuda", torch.float32)
    assert on_cpu[0] == on_cpu[1] == on_gpu[0] != on_gpu[1]
    in_bf16 = keys("cuda", torch.bfloat16)
    assert in_bf16[0] == in_bf16[1]
