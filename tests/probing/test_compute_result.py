"""The numbers of a probe, against other ways to compute them."""

import json

import numpy as np
import pytest
import torch
from probe_runs import finished, result

from tqd_probe.clips.source import open_clips
from tqd_probe.core.rng import normal
from tqd_probe.models.base import per_clip_loss
from tqd_probe.models.load import load_model


def test_curves_equal_plain_autograd(probe_run, pipeline):
    """The whole chain against loops of ordinary backward passes."""
    from tqd_probe.clips.degradations import Degradation
    from tqd_probe.models.base import collate

    model = load_model(str(pipeline))
    result = json.loads((probe_run / "gradsim.json").read_text())
    blur, means = Degradation("blur", 4), {"golden": [], "blur": []}
    for clip in open_clips("synthetic", 5, 0).golden:
        for name, video in {
            "golden": clip.read(model.native),
            "blur": blur.apply(clip, model.native, 0),
        }.items():
            batch = collate([model.encode(video, clip.caption)])
            total = 0
            for draw in range(2):
                eps = normal(batch.latents.shape[1:], 0, "noise", clip.id, draw)[None]
                loss = per_clip_loss(model, batch, eps, torch.tensor([0.5])).sum()
                found = torch.autograd.grad(loss, list(model.network.parameters()))
                total = total + torch.cat([g.flatten() for g in found]).double() / 2
            means[name].append(total.numpy())
    golden, blurred = (np.array(means[name]) for name in ("golden", "blur"))

    def u(a, b):
        products = a @ b.T
        return (products.sum() - np.trace(products)) / 20

    expected = u(golden, golden)
    assert result["golden"]["signal"][1] == pytest.approx(expected, rel=1e-4)
    cosine = u(golden, blurred) / np.sqrt(expected * u(blurred, blurred))
    assert result["subjects"]["blur:4"]["cosine"][1] == pytest.approx(cosine, rel=1e-4)


def test_batch_size_changes_no_number_that_matters(probe_run, pipeline, tmp_path):
    one = finished(pipeline, tmp_path / "b", extra="--batch-size 1")
    four = result(probe_run)
    for name in one["subjects"]:
        a, b = (r["subjects"][name]["cosine_naive"] for r in (one, four))
        assert a == pytest.approx(b, rel=1e-4)


def test_bf16_runs_and_agrees(probe_run, pipeline, tmp_path):
    found = finished(pipeline, tmp_path / "bf16", extra="--dtype bf16 --self-check")
    half, full = (each["golden"]["signal"] for each in (found, result(probe_run)))
    assert half == pytest.approx(full, rel=0.05)
