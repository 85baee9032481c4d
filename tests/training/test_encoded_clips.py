from types import SimpleNamespace

import torch

from tqd_probe.training.encoded_clips import CachedClips
from tqd_probe.training.scored_clips import ScoredClip

SIZE = 4 * (6 + 2 + 1)  # bytes of a clip's latents, text and image


class Encoder:
    """Counts what is read."""

    reads = 0

    def latents(self, clip, degradation):
        self.reads += 1
        return torch.full((6,), float(clip.number))

    def conditioning(self, clip, degradation):
        return {"text": torch.full((2,), float(clip.number)), "image": torch.ones(1)}

    def caption(self, clip):
        assert clip.caption == ""
        return {"text": torch.zeros(2)}


def encoded(budget):
    clips = [ScoredClip(SimpleNamespace(number=n)) for n in range(1, 4)]
    return CachedClips(Encoder(), clips, budget)


def test_clips_are_kept_up_to_the_budget():
    clips = encoded(budget=2 * SIZE)
    for _ in range(3):
        for row in range(3):
            assert (clips.get(row).latents == row + 1).all()
    assert clips.encoder.reads == 2 + 3  # the third clip is read every time
    assert clips.budget == 0


def test_without_its_caption_a_clip_keeps_the_rest():
    clips = encoded(budget=0)
    dropped = clips.get(1, drop_caption=True)
    assert (dropped.latents == 2).all()
    assert dropped.conditioning["text"].tolist() == [0, 0]
    assert dropped.conditioning["image"].tolist() == [1]
    assert clips.get(1).conditioning["text"].tolist() == [2, 2]
