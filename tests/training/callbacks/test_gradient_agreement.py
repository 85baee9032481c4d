import csv
import math
import shutil

import numpy as np
import pytest
import torch
from training_runs import options

from tqd_probe.core.errors import InputError
from tqd_probe.core.jsonl import read_jsonl
from tqd_probe.models.base import per_clip_loss
from tqd_probe.models.load import load_model
from tqd_probe.training.callbacks.gradient_agreement import (
    GradientSum,
    cosine,
    independent_rows,
)
from tqd_probe.training.scored_clips import hold_out, read_scored_clips
from tqd_probe.training.train import train
from tqd_probe.training.validation_set import ValidationSet


def summed(gradients):
    squares = float(gradients.square().sum())
    return GradientSum([gradients.sum(0)], squares, len(gradients))


def test_sums_over_pairs_of_different_clips():
    generator = torch.Generator().manual_seed(2)
    golden = 1 + torch.randn(5, 40, generator=generator, dtype=torch.float64)
    other = 1 + torch.randn(3, 40, generator=generator, dtype=torch.float64)

    def own(rows):
        pairs = [a @ b for i, a in enumerate(rows) for j, b in enumerate(rows) if i - j]
        return float(sum(pairs) / len(pairs))

    cross = float((golden @ other.T).mean())
    expected = cross / math.sqrt(own(golden) * own(other))
    assert summed(golden).squared_signal() == pytest.approx(own(golden))
    assert cosine(summed(golden), summed(other)) == pytest.approx(expected)


def test_noise_alone_has_no_cosine():
    opposed = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    agreeing = torch.tensor([[1.0, 0.0], [1.0, 0.1]])
    assert cosine(summed(opposed), summed(agreeing)) is None
    assert cosine(summed(agreeing), summed(opposed)) is None
    assert cosine(summed(agreeing), summed(agreeing[:1])) is None  # a single clip


def test_copies_of_a_scene_are_not_compared():
    """Four golden scenes, each with two copies, and a scene that visual clips have."""
    classes = ["golden"] * 4 + ["visual_degraded"] * 5 + ["motion_degraded"] * 4
    captions = ["a", "b", "c", "d", "a", "b", "c", "d", "e", "a", "b", "c", "d"]
    found = independent_rows(np.array(classes, object), captions)
    assert {name: rows.tolist() for name, rows in found.items()} == {
        "golden": [0, 2],
        "visual_degraded": [5, 7, 8],
        "motion_degraded": [10, 12],
    }
    twice = independent_rows(np.array(["golden"] * 4, object), ["a", "a ", "", ""], 3)
    assert twice["golden"].tolist() == [0, 2, 3]
    assert cosine(summed(torch.ones(2, 3)), summed(torch.ones(0, 3))) is None


class Encoded:
    """Held-out clips of the manifest, encoded anew."""

    def __init__(self, model, manifest):
        _, self.clips = hold_out(read_scored_clips(str(manifest), 0), 2, 0)
        self.model = model

    def get(self, row):
        clip = self.clips[row].clip
        return self.model.encode(clip.read(self.model.native), clip.caption)


def test_a_run_writes_the_cosines_of_its_weights(pipeline, manifest, tmp_path):
    """At step 0, of the checkpoint's: every clip's gradient by plain autograd."""
    values = options(pipeline, manifest, tmp_path, steps=3, hold_out=2)
    train(**{**values, "validate_every": 0, "agreement_every": 2}, quiet=True)
    rows = read_jsonl(tmp_path / "agreement.jsonl")
    assert [row["step"] for row in rows] == [0, 2, 3]
    assert rows[0]["buckets"] == [0, 2, 4, 6, 8]
    assert rows[0]["sigma_edges"] == pytest.approx([i / 10 for i in range(11)])
    assert rows[0]["cosine"] != rows[1]["cosine"]

    model = load_model(str(pipeline))
    parameters = list(model.network.parameters())
    clips = ValidationSet(Encoded(model, manifest), seed=0)

    def gradients(name, bucket):
        found = []
        for row, clip_class in enumerate(clips.classes):
            if clip_class == name:
                batch = clips.batch([(row, bucket)], torch.device("cpu"))
                loss = per_clip_loss(model, batch.encoded, batch.eps, batch.sigma)
                each = torch.autograd.grad(loss.sum(), parameters)
                found.append(torch.cat([part.flatten() for part in each]).double())
        assert len(found) == 2
        return found

    for position, bucket in enumerate(rows[0]["buckets"]):
        golden = gradients("golden", bucket)
        for name in ("motion_degraded", "visual_degraded"):
            other = gradients(name, bucket)
            cross = sum(float(a @ b) for a in golden for b in other) / 4
            product = float(golden[0] @ golden[1]) * float(other[0] @ other[1])
            expected = cross / math.sqrt(product)
            found = rows[0]["cosine"][name][position]
            assert found == pytest.approx(expected, rel=1e-3), (name, bucket)


def test_no_golden_validation_clip_is_refused_before_encoding(
    pipeline, manifest, tmp_path
):
    pool = tmp_path / "pool"
    shutil.copytree(manifest.parent, pool)
    with open(pool / manifest.name, newline="") as handle:
        head, *rows = csv.reader(handle)
    for name, some in (
        ("train.csv", [row for row in rows if row[-1] == "golden"]),
        ("validation.csv", [row for row in rows if row[-1] != "golden"]),
    ):
        with open(pool / name, "w", newline="") as handle:
            csv.writer(handle).writerows([head, *some])
    values = options(pipeline, pool / "train.csv", tmp_path / "run", hold_out=0)
    values |= {"validation": str(pool / "validation.csv"), "agreement_every": 2}
    with pytest.raises(InputError, match="none of the validation clips is golden"):
        train(**values, quiet=True)
    assert not (tmp_path / "run").exists()
