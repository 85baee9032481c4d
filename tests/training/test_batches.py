import pytest
import torch

from tqd_probe.models.base import Conditioned
from tqd_probe.sampling.clip_pool import ClipPool
from tqd_probe.sampling.draw_stream import DrawStream
from tqd_probe.sampling.registry import make_sampler
from tqd_probe.training.batches import TrainingBatches


class Encoded:
    """Clip number n: latents all n, text all n, or all -1 without its caption."""

    def get(self, row, drop_caption=False):
        text = torch.full((2,), -1.0 if drop_caption else float(row))
        return Conditioned(torch.full((3, 4), float(row)), {"text": text})


def batches(rank=0, world=1, text_dropout=0.0, seed=7):
    draws = DrawStream(make_sampler("uniform"), ClipPool.of(["golden"] * 5), seed)
    return TrainingBatches(
        draws=draws,
        clips=Encoded(),
        batch_size=4,
        text_dropout=text_dropout,
        rank=rank,
        world=world,
    )


def test_a_step_depends_on_its_number_alone():
    later = batches()[3]
    again = list(batches().steps(3, 5, workers=0))
    assert len(again) == 2
    assert torch.equal(again[0].eps, later.eps)
    assert again[0].draws == later.draws
    assert [draw.index for draw in later.draws] == [12, 13, 14, 15]
    for row, draw in enumerate(later.draws):
        assert (later.encoded.latents[row] == draw.clip).all()
        assert float(later.sigma[row]) == pytest.approx(draw.sigma)
    assert not torch.equal(batches(seed=8)[3].eps, later.eps)


def test_processes_share_a_step():
    whole = batches()[2]
    parts = [batches(rank, 2)[2] for rank in range(2)]
    assert [draw for part in parts for draw in part.draws] == whole.draws
    assert torch.equal(torch.cat([part.eps for part in parts]), whole.eps)


def test_micro_batches_are_the_batch():
    whole = batches()[0]
    parts = list(whole.split(3, torch.device("cpu")))
    assert [len(part.draws) for part in parts] == [3, 1]
    assert torch.equal(torch.cat([part.sigma for part in parts]), whole.sigma)
    texts = [part.encoded.conditioning["text"] for part in parts]
    assert torch.equal(torch.cat(texts), whole.encoded.conditioning["text"])


def test_captions_are_dropped_for_a_share_of_samples():
    data = batches(text_dropout=0.25)
    dropped = [data.drops_caption(index) for index in range(4000)]
    error = (0.25 * 0.75 / 4000) ** 0.5
    assert sum(dropped) / 4000 == pytest.approx(0.25, abs=4 * error)
    for index in range(20):
        text = data.samples(range(index, index + 1)).encoded.conditioning["text"]
        assert bool((text == -1).all()) == dropped[index]
    assert not any(batches().drops_caption(index) for index in range(200))
