"""Similarity on a network and loaders of the caller's."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from tqd_probe import ProbeResult, compare_gradients, derive_schedule
from tqd_probe.core.errors import InputError
from tqd_probe.gradients.layout import make_layout
from tqd_probe.gradients.metric import factored_metric
from tqd_probe.gradients.second_moments import factored_squares


@pytest.fixture
def setting():
    """A small network, its losses, and clips of 12 numbers."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(12, 24), nn.Tanh(), nn.Linear(24, 12))
    clips = torch.randn(8, 12)

    def losses(batch, sigma, draw):
        ids, x = batch
        noise = torch.stack(
            [
                torch.randn(
                    12, generator=torch.Generator().manual_seed(99 * int(i) + draw)
                )
                for i in ids
            ]
        )
        out = network((1 - sigma) * x + sigma * noise)
        return (out - (noise - x)).square().mean(1)

    return network, losses, clips


def batches(clips, first=0, size=4):
    ids = torch.arange(first, first + len(clips))
    return list(zip(ids.split(size), clips.split(size)))


def factors(network, losses, clips, power):
    """What gradients are multiplied by, from all clips at both levels, draw 0."""
    names = [name for name, _ in network.named_parameters()]
    layout = make_layout(network, {"all": names})
    squares = 0
    for clip, sigma in itertools.product(range(len(clips)), (0.3, 0.7)):
        batch = torch.tensor([clip]), clips[clip : clip + 1]
        parts = torch.autograd.grad(
            losses(batch, sigma, 0).sum(), list(network.parameters())
        )
        shapes = layout.shapes.values()
        rows = [factored_squares(p.view(1, -1), s)[0] for p, s in zip(parts, shapes)]
        squares = squares + torch.cat(rows).double() / 16
    metric = factored_metric(layout, squares, power, torch.device("cpu"))
    return torch.from_numpy(np.concatenate([metric.entry_factors(n) for n in names]))


@pytest.mark.parametrize("metric", ["raw", "fisher"])
def test_similarity_equals_that_of_plain_gradients(setting, metric):
    network, losses, clips = setting
    scale = factors(network, losses, clips, 1.0) if metric == "fisher" else 1.0
    other = clips.flip(1)
    own = torch.randn(5, 12, generator=torch.Generator().manual_seed(1))
    result = compare_gradients(
        network,
        losses,
        {
            "golden": batches(clips),
            "motion_degraded": batches(other, size=8),
            "visual_degraded": batches(own, first=100),
        },
        sigmas=[0.3, 0.7],
        draws=2,
        paired=["motion_degraded"],
        sketch=16_384,
        metric=metric,
        progress=False,
    )
    assert isinstance(result, ProbeResult)
    assert result.criterion.metric == metric
    assert result.covered_share == pytest.approx(1, abs=1e-5)

    def means(clips, first, sigma):
        total = 0
        for draw in range(2):
            loss = losses((torch.arange(first, first + len(clips)), clips), sigma, draw)
            parts = torch.autograd.grad(loss.mean(), list(network.parameters()))
            total = total + torch.cat([part.flatten() for part in parts]) / 2
        return total.double() * scale

    for level, sigma in enumerate((0.3, 0.7)):
        golden = means(clips, 0, sigma)
        pairs = {"motion_degraded": (other, 0), "visual_degraded": (own, 100)}
        for name, (some, first) in pairs.items():
            truth = torch.cosine_similarity(golden, means(some, first, sigma), 0)
            found = result.subjects[name]
            # 624 parameters on 16,384 numbers: the sketch loses nothing
            assert found.cosine_naive[level] == pytest.approx(float(truth), abs=1e-5)
    table = result.table()
    assert list(table.sigma.unique()) == [0.3, 0.7]
    assert dict(zip(table.subject, table.paired)) == {
        "motion_degraded": True,
        "visual_degraded": False,
    }
    schedule = derive_schedule(result)
    # two classes were compared; of 5 clips of its own one has no intervals
    assert schedule.classes["visual_degraded"].reason == "5 real clips; 8 are needed"
    assert set(schedule.measured_classes()) == {"motion_degraded"}


def test_identical_copies_are_as_good_as_golden(setting):
    network, losses, clips = setting
    result = compare_gradients(
        network,
        losses,
        {"golden": batches(clips), "visual_degraded": batches(clips)},
        sigmas=[0.4],
        paired=["visual_degraded"],
        sketch=16_384,
        progress=False,
    )
    same = result.subjects["visual_degraded"]
    np.testing.assert_allclose(same.norm_ratio, 1, rtol=1e-6)
    np.testing.assert_allclose(same.cosine, 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clips": {"golden": []}}, "give batches of 'golden' and of another class"),
        ({"golden": 7}, "golden: 7 clips, at least 8 are needed to tell signal"),
        ({"clips": {"blurry": []}}, "blurry: not a class"),
        ({"clips": {"motion_degraded": iter([])}}, "motion_degraded: an iterator"),
        ({"clips": {"motion_degraded": []}}, "motion_degraded: 0 clips, at least 2"),
        ({"paired": ["visual_degraded"]}, "visual_degraded: not a class of clips"),
        ({"sigmas": [0.5, 1.5]}, r"sigmas: \[0.5, 1.5\]"),
        ({"draws": 0}, "draws: 0"),
        ({"few": True}, "motion_degraded: 4 clips, paired with 8 golden"),
    ],
)
def test_what_cannot_be_compared_is_one_line(setting, change, message):
    network, losses, clips = setting
    given = {"golden": batches(clips), "motion_degraded": batches(clips)}
    options = {"sigmas": [0.5], "draws": 1, "progress": False}
    options |= {k: v for k, v in change.items() if k not in ("clips", "few", "golden")}
    if "golden" in change:
        given["golden"] = batches(clips[: change["golden"]])
    if "few" in change:
        given["motion_degraded"] = batches(clips[:4])
        options["paired"] = ["motion_degraded"]
    if change.get("clips") == {"golden": []}:
        given = {"golden": batches(clips)}
    else:
        given |= change.get("clips", {})
    with pytest.raises(InputError, match=message):
        compare_gradients(network, losses, given, **options)
