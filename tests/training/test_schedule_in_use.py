import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from training_runs import options

from tqd_probe.core.errors import InputError
from tqd_probe.models.lora_file import fingerprint_with_lora
from tqd_probe.sampling.clip_pool import ClipPool
from tqd_probe.schedules.carry_over import carry_over
from tqd_probe.schedules.fits import fit_beta
from tqd_probe.training.schedule_in_use import ScheduleInUse, load_schedule
from tqd_probe.training.settings import TrainRunSettings

CLIPS = ClipPool.of(["golden", "visual_degraded"], [0.8, 0.9], [0.8, 0.3])


def settings(**changed):
    values = options("tiny", "synthetic:4", "runs/unused", **changed)
    return TrainRunSettings(**{k: v for k, v in values.items() if v is not None})


def test_kappa_max_given_measured_or_by_default(schedule):
    given = ScheduleInUse(settings(kappa_max=6), CLIPS, (0, 1), None)
    assert given.draws.sampler.kappa_max == 6
    assert given.notes == []
    default = ScheduleInUse(settings(kappa_max=None), CLIPS, (0, 1), None)
    assert default.draws.sampler.kappa_max == 8
    assert default.resolved["kappa_max"] == 8
    assert "--kappa-max not given: 8" in default.notes[0]
    measured = ScheduleInUse(settings(kappa_max=None), CLIPS, (0, 1), schedule)
    # a fit of 3.9 + 1.7 at a gap of 0.6
    assert measured.draws.sampler.kappa_max == pytest.approx(2 + (5.6 - 2) / 0.6)
    assert "from the schedule's fits" in measured.notes[0]
    # The stored fit is of another shift than the training's: fitted anew, (0.23, 1).
    shifted = settings(kappa_max=None, shift=5)
    kappa = ScheduleInUse(shifted, CLIPS, (0, 1), schedule).resolved["kappa_max"]
    fit = fit_beta([(0.6 / (5 - 4 * 0.6), 1.0)])
    assert kappa == pytest.approx(2 + (fit["alpha"] + fit["beta"] - 2) / 0.6, abs=1e-3)


def test_a_schedule_that_does_not_fit_changes_nothing(schedule):
    choice = settings(sampler="bands", schedule="bands.json", kappa_max=None)
    in_use = ScheduleInUse(choice, CLIPS, (0, 1), schedule)
    draws = in_use.draws
    other = schedule.model_copy(deep=True)
    del other.classes["visual_degraded"]
    with pytest.raises(InputError, match="'visual_degraded', 1 clips: not measured"):
        in_use.follow(other)
    assert in_use.schedule is schedule
    assert in_use.draws is draws


def test_a_schedule_without_a_density_is_named_where_one_is_needed(schedule, tmp_path):
    path = tmp_path / "bands.json"
    schedule.save(path)
    for more in ({"sampler": "measured"}, {"sampler": "bands", "base": "measured"}):
        choice = settings(schedule=path, kappa_max=None, **more)
        with pytest.raises(InputError, match=f"{path}: density: null or missing"):
            load_schedule(choice, Model())


class Model:
    """What reading a schedule asks of a model."""

    family, prediction = "wan", "flow_velocity"
    source = "carried"
    fingerprint, expert = "sha256:" + "b" * 64, None


def read(schedule, path, model, **changed):
    schedule.save(path)
    return load_schedule(settings(sampler="bands", schedule=path, **changed), model)


def test_another_expert_is_refused_whatever_is_allowed(schedule, tmp_path):
    high, low = Model(), Model()
    high.expert, low.expert = "high", "low"
    of_high = schedule.model_copy(deep=True)
    of_high.model.expert = "high"
    path = tmp_path / "bands.json"
    assert read(of_high, path, high, allow_model_mismatch=True) == of_high
    both = "on the expert for high noise, this is the expert for low noise"
    with pytest.raises(InputError, match=both):
        read(of_high, path, low, allow_model_mismatch=True)
    with pytest.raises(InputError, match="on a single network, this is the expert"):
        read(schedule, path, low, allow_model_mismatch=True)


def test_a_schedule_measured_on_a_lora_is_followed_from_that_lora(schedule, tmp_path):
    weights = {"transformer.x.lora_A.weight": torch.ones(1, 2)}
    save_file(weights, tmp_path / "lora.safetensors")
    model = Model()
    mine = {"init_lora": str(tmp_path / "lora.safetensors")}
    of_lora = schedule.model_copy(deep=True)
    of_lora.model.fingerprint = fingerprint_with_lora(
        model.fingerprint, tmp_path / "lora.safetensors", None
    )
    path = tmp_path / "bands.json"
    assert read(of_lora, path, model, full=None, **mine) == of_lora
    with pytest.raises(InputError, match="measured on other weights"):
        read(of_lora, path, model)
    with pytest.raises(InputError, match="measured on other weights"):
        read(of_lora, path, model, full=None, lora_alpha=2.0, **mine)
    of_base = schedule.model_copy(deep=True)
    of_base.model.fingerprint = model.fingerprint
    assert read(of_base, path, model, full=None, **mine) == of_base


def test_a_carried_schedule_is_not_one_measured_here(schedule, tmp_path, caplog):
    model = Model()
    model.family, model.prediction = "cogvideox", "v_prediction"
    path = tmp_path / "bands.json"
    with pytest.raises(InputError, match=r"model\.prediction: 'flow_velocity'"):
        read(schedule, path, model, allow_model_mismatch=True)
    carried = carry_over(schedule, model, scale=2.0)
    with pytest.raises(InputError, match=r"bands\.json: schedule of .* other weights"):
        read(carried, path, model)
    caplog.clear()
    assert read(carried, path, model, allow_model_mismatch=True) == carried
    (line,) = caplog.messages
    assert "measured on tiny (wan) and carried over at equal logsnr" in line
    assert "(latent scale 2) to carried (cogvideox)" in line


def test_a_family_with_timesteps_trains_them_evenly():
    steps = np.array([0.2, 0.3, 0.5, 0.9])
    plain = settings(sampler="uniform", kappa_max=None)
    in_use = ScheduleInUse(plain, CLIPS, (0.2, 1.0), None, steps)
    levels = np.array([in_use.draws.draw(i).sigma for i in range(2000)])
    nearest = np.abs(levels[:, None] - steps).argmin(1)
    assert np.bincount(nearest) / 2000 == pytest.approx([0.25] * 4, abs=0.04)
    assert "of the 4 timesteps that the family trains" in in_use.notes[0]
    of_sigma = settings(sampler="uniform", kappa_max=None, space="sigma")
    assert ScheduleInUse(of_sigma, CLIPS, (0.2, 1.0), None, steps).notes == []


def test_other_levels_leave_the_draws_in_use(schedule):
    in_use = ScheduleInUse(settings(), CLIPS, (0.0, 0.5), None)
    whole = in_use.over_range((0.0, 1.0))
    levels = [[d.draw(i).sigma for i in range(50)] for d in (in_use.draws, whole)]
    assert max(levels[0]) <= 0.5 < max(levels[1])
