import numpy as np
import pytest
from scipy.stats import t as student

from tqd_probe.core.errors import InputError
from tqd_probe.verification.interim_analyses import Look, plan
from tqd_probe.verification.report import page, verify_figure
from tqd_probe.verification.settings import (
    TrialRunSettings,
    read_arms,
    trial_options,
)
from tqd_probe.verification.trials import looks_of
from tqd_probe.verification.verdict import all_clear, difference, verdicts


def test_difference_by_hand():
    values = np.array([[0.1, 0.3], [0.2, 0.4], [0.3, 0.8]])
    found = difference(values, 0.05)
    seeds = np.array([0.2, 0.3, 0.55]).var(ddof=1) / 3
    clips = np.array([0.2, 0.5]).var(ddof=1) / 2
    half = np.sqrt(
        student.ppf(0.975, 2) ** 2 * seeds + student.ppf(0.975, 1) ** 2 * clips
    )
    assert found.mean == pytest.approx(0.35)
    assert (found.low, found.high) == pytest.approx((0.35 - half, 0.35 + half))
    assert not found.clear
    same = difference(np.zeros((3, 4)), 0.05)
    assert (same.low, same.high, same.clear) == (0, 0, False)


@pytest.mark.monte_carlo
@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize(("by_seed", "by_clip"), [(1, 0), (0, 1), (1, 1), (0, 0)])
def test_intervals_hold_the_truth_as_often_as_they_say(seeds, by_seed, by_clip):
    rng = np.random.default_rng(0)
    missed = 0
    for _ in range(1000):
        values = (
            by_seed * rng.normal(size=(seeds, 1))
            + by_clip * rng.normal(size=(1, 12))
            + rng.normal(size=(seeds, 12))
        )
        missed += difference(values, 0.05).clear
    assert missed / 1000 < 0.055


def losses_of(shift, seeds=3, clips=10):
    rng = np.random.default_rng(1)
    base = 0.5 + 0.1 * rng.random((seeds, clips, 10))
    other = base + 0.001 * rng.normal(size=base.shape)
    other[:, :, :5] += shift
    return {"uniform": base, "bands": other}


def test_verdicts_have_the_right_sign_and_place():
    look = Look(3, 0.025, 0.025)
    for shift, word in ((-0.1, "helps"), (0.1, "hurts"), (0, "no difference shown")):
        losses = losses_of(shift)
        (verdict,) = verdicts(losses, "uniform", look)
        assert verdict.word == word
        clear = [each.clear for each in verdict.buckets]
        assert clear == [bool(shift)] * 5 + [False] * 5
        assert all_clear(losses, "uniform", look.level) == bool(shift)
        assert verdict.overall.mean == pytest.approx(shift / 2, abs=1e-3)


def test_the_page_says_it():
    losses = losses_of(-0.1)
    (verdict,) = verdicts(losses, "uniform", Look(3, 0.025, 0.025))
    result = {
        "settings": {
            "ckpt": "tiny",
            "steps": 9,
            "full": False,
            "lora_rank": 4,
            "confidence": 0.95,
        },
        "baseline": "uniform",
        "seeds": 3,
        "stopped_early": True,
        "golden_clips": 10,
        "start_loss": 0.6,
        "samplers": {k: {"loss": float(v.mean())} for k, v in losses.items()},
        "verdicts": {
            "bands": {
                "verdict": verdict.word,
                "difference": vars(verdict.overall),
                "buckets": [vars(each) for each in verdict.buckets],
            }
        },
    }
    text = page(result)
    assert "**bands** helps: lowers the golden loss by" in text
    assert "lower loss at sigma 0.0 to 0.5" in text
    assert "stopped early" in text
    assert len(verify_figure(result).axes) == 2


def test_arms_are_read_and_faults_said():
    arms = read_arms("uniform,beta=a/b.json,uniform,bands=a/b.json")
    labels = [arm.label for arm in arms]
    assert labels == ["uniform", "beta=b.json", "uniform#2", "bands=b.json"]
    assert [arm.sampler for arm in arms] == ["uniform", "beta", "uniform", "bands"]
    for text, shown in (
        ("uniform", "two or more"),
        ("uniform,cosine", "'cosine' is no sampler"),
        ("uniform,bands", "bands needs a schedule"),
        ("uniform,beta=", "no file after"),
    ):
        with pytest.raises(InputError, match=shown):
            read_arms(text)


def test_only_looks_and_comparisons_that_are_made_are_paid_for(tmp_path):
    given = {"ckpt": "tiny", "clips": "a.csv", "golden": "g", "out": tmp_path}
    settings = TrialRunSettings(**given, samplers="uniform,uniform,uniform,uniform")
    arms = read_arms(settings.samplers)
    share = (1 - 0.95) / 3  # three comparisons with the baseline, not six pairs
    assert list(looks_of(settings, arms).values()) == list(plan(5, True, share))
    once = settings.model_copy(update={"early_stop": False})
    assert looks_of(once, arms) == {5: Look(5, share, share)}
    assert looks_of(once, arms[:2])[5].level == pytest.approx(0.05)


def test_trials_differ_by_the_sampler_alone(tmp_path):
    settings = TrialRunSettings(
        ckpt="tiny",
        clips="a.csv",
        golden="g",
        samplers="uniform,uniform",
        out=tmp_path,
        steps=70,
        seed=3,
        kappa_max=8,
        lr=3e-4,
    )
    a, b = (
        trial_options(settings, arm, 5, tmp_path) for arm in read_arms("uniform,beta")
    )
    assert {k for k in a.model_dump() if getattr(a, k) != getattr(b, k)} == {"sampler"}
    assert (a.seed, a.clips_seed, a.lr, a.validate_every) == (5, 3, 3e-4, 70)
