import pytest
from training_runs import options

from tqd_probe.core.errors import InputError
from tqd_probe.training.scored_clips import (
    clips_digest,
    hold_out,
    read_clips,
    read_scored_clips,
)
from tqd_probe.training.settings import TrainRunSettings


def test_classes_and_scores_of_a_manifest(manifest):
    clips = read_scored_clips(str(manifest), 0)
    names = ["golden", "motion_degraded", "visual_degraded"]
    assert [each.clip_class for each in clips] == sorted(names * 3)
    assert (clips[0].mq, clips[0].vq) == (0.8, 0.8)
    assert (clips[-1].mq, clips[-1].vq) == (0.9, 0.3)


def test_hold_out_takes_as_many_of_each_class(manifest):
    clips = read_scored_clips(str(manifest), 0)
    train, held = hold_out(clips, 1, seed=3)
    assert {each.clip_class for each in held} == {e.clip_class for e in clips}
    assert len(held) == 3
    assert sorted(e.clip.id for e in (*train, *held)) == sorted(
        e.clip.id for e in clips
    )
    assert hold_out(clips, 1, seed=3) == (train, held)
    assert any(hold_out(clips, 1, seed=seed)[1] != held for seed in range(4, 9))
    with pytest.raises(InputError, match="--hold-out 3: class golden has 3 clips"):
        hold_out(clips, 3, seed=0)


def test_validation_clips_are_limited_by_class_and_not_trained_on(manifest, tmp_path):
    values = options("tiny", "synthetic:4", tmp_path, hold_out=0)
    values |= {"validation": str(manifest), "validate_clips": 2}
    train, held = read_clips(TrainRunSettings(**values))
    assert (len(train), len(held)) == (4, 6)
    both = TrainRunSettings(**{**values, "clips": str(manifest)})
    with pytest.raises(InputError, match="is also trained on"):
        read_clips(both)


def test_clips_of_dropped_classes_are_left_out_and_counted(manifest, tmp_path):
    values = options("tiny", str(manifest), tmp_path, hold_out=1)
    values |= {"drop_class": "motion_degraded,both_degraded"}
    said = []
    train, held = read_clips(TrainRunSettings(**values), said.append)
    assert {each.clip_class for each in train} == {"golden", "visual_degraded"}
    assert (len(train), len(held)) == (4, 2)  # of 9 clips, one of each class held out
    assert said == [
        "left out by --drop-class: 3 clips of motion_degraded",
        "left out by --drop-class: 0 clips of both_degraded",
    ]


def test_some_clips_must_be_left(manifest, tmp_path):
    rows = manifest.read_text().splitlines()
    only = tmp_path / "only.csv"
    kept = [row for row in rows[1:] if row.endswith(",visual_degraded")]
    kept = [row.replace("c", f"{manifest.parent}/c", 1) for row in kept]
    only.write_text("\n".join([rows[0], *kept]))
    values = options("tiny", only, tmp_path, drop_class="visual_degraded")
    with pytest.raises(InputError, match="--drop-class visual_degraded: no clips of"):
        read_clips(TrainRunSettings(**values))


def test_the_digest_depends_on_classes_scores_and_order(manifest):
    clips = read_scored_clips(str(manifest), 0)
    digests = {clips_digest(clips), clips_digest(clips[::-1]), clips_digest(clips[1:])}
    assert len(digests) == 3
    assert clips_digest(read_scored_clips(str(manifest), 0)) in digests
