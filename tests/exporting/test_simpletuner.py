import json

import numpy as np
import pytest
import trainer_rules
from trainer_rules import CLOSE, distance

from tqd_probe.core.errors import InputError
from tqd_probe.exporting.simpletuner import SimpleTuner

# documentation/DATALOADER.md and quickstart/WAN.md of SimpleTuner, shortened
TEXT = {"id": "text", "dataset_type": "text_embeds", "default": True, "type": "local"}
VIDEO = {
    "id": "clips",
    "type": "local",
    "dataset_type": "video",
    "instance_data_dir": "datasets/clips",
    "caption_strategy": "textfile",
    "repeats": 0,
}


def preview(tmp_path, backends=(VIDEO,), **options):
    (tmp_path / "multidatabackend.json").write_text(json.dumps([*backends, TEXT]))
    config = {
        "--model_family": "wan",
        "data_backend_config": "multidatabackend.json",
        **options,
    }
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    assert SimpleTuner().recognises(path)
    return SimpleTuner().preview(path, None)


def offset(value, **more):
    return {**VIDEO, "timestep_sampling_offset": value, **more}


@pytest.mark.parametrize("shift", [1.0, 3.0, 5.0])
@pytest.mark.parametrize("scale", [1.0, 1.6])
def test_draws_by_the_published_rule_have_this_density(tmp_path, shift, scale):
    sets = (offset(-0.6), offset(0.8, id="other"))
    found = preview(tmp_path, sets, flow_schedule_shift=shift, flow_sigmoid_scale=scale)
    for trained, value in zip(found.trained, (-0.6, 0.8)):
        rng = np.random.default_rng(1)
        draws = trainer_rules.simpletuner(rng, value, scale, shift)
        assert distance(draws, trained.levels) < CLOSE
    assert [each.share for each in found.trained] == [None, None]
    assert found.traps == []


def test_other_schedules_ignore_the_offset(tmp_path):
    found = preview(
        tmp_path,
        (offset(0.5),),
        flow_use_beta_schedule=True,
        flow_beta_schedule_alpha=3.0,
        flow_schedule_shift=3.0,
    )
    rng = np.random.default_rng(2)
    draws = trainer_rules.simpletuner(rng, schedule="beta", alpha=3.0, beta=2.0)
    assert distance(draws, found.trained[0].levels) < CLOSE
    assert found.traps == [
        "timestep_sampling_offset of clips: ignored by the beta schedule; it acts on"
        " the default (sigmoid) one alone"
    ]
    found = preview(tmp_path, (offset(0.5),), flow_use_uniform_schedule=True)
    draws = trainer_rules.simpletuner(rng, schedule="uniform")
    assert distance(draws, found.trained[0].levels) < CLOSE
    assert "ignored by the uniform schedule" in found.traps[0]
    assert "its default is 3" in found.traps[1]


def test_lists_of_levels_and_smooth_densities(tmp_path):
    found = preview(tmp_path, flow_custom_timesteps="801,694,548,338")
    levels = found.trained[0].levels
    assert levels.points == pytest.approx([0.338, 0.548, 0.694, 0.801])
    found = preview(tmp_path, flow_custom_timesteps=[0.2, 0.9])
    assert found.trained[0].levels.points == pytest.approx([0.2, 0.9])
    found = preview(
        tmp_path, flow_cubic_schedule_weights=[0.0, 1.0], flow_schedule_shift=1
    )
    assert found.trained[0].levels.cdf(0.5) == pytest.approx(0.25)
    found = preview(
        tmp_path, flow_cubic_schedule_weights="1,2,1", flow_schedule_shift=1
    )
    assert found.trained[0].levels.cdf(np.array([0.5, 1.0])) == pytest.approx([0.5, 1])


def test_a_stage_of_wan_22_sets_the_shift_itself(tmp_path):
    found = preview(tmp_path, model_flavour="i2v-14b-2.2-high", flow_schedule_shift=1.0)
    (trained,) = found.trained
    assert (trained.expert, trained.share) == ("high", 1.0)
    draws = trainer_rules.simpletuner(np.random.default_rng(0), shift=5.0)
    assert distance(draws, trained.levels) < CLOSE
    assert "overwritten by model_flavour i2v-14b-2.2-high" in found.traps[0]
    assert "transformer_2" in found.notes[0]
    found = preview(tmp_path, model_flavour="i2v-14b-2.2-high")
    assert found.traps == []  # the shift is 5, not the default 3
    found = preview(tmp_path, distillation_method="dmd")
    assert found.notes[0].startswith("distillation_method: its levels are not modelled")


def test_probabilities_are_shares_where_sizes_do_not_count(tmp_path):
    sets = (
        offset(0.1, probability=3),
        offset(0.2, id="b", probability=1),
        offset(0.3, id="c", disabled=True),
    )
    found = preview(tmp_path, sets, data_backend_sampling="uniform")
    assert [each.share for each in found.trained] == [0.75, 0.25]


def test_faults_are_named(tmp_path):
    # safety_check.py (bc8e6ab) sets flow_schedule_shift to 0 beside the other
    for shift in ({}, {"flow_schedule_shift": 0}, {"flow_schedule_shift": 5.0}):
        with pytest.raises(InputError, match="overrides flow_schedule_shift"):
            preview(tmp_path, flow_schedule_auto_shift=True, **shift)
    with pytest.raises(InputError, match="sdxl is not trained by flow matching"):
        preview(tmp_path, **{"--model_family": "sdxl"})
    with pytest.raises(InputError, match="sanavideo draws levels of its own"):
        preview(tmp_path, **{"--model_family": "sanavideo"})
    found = preview(tmp_path, **{"--model_family": "minimaxh3"})
    assert found.trained[0].rule == "logit-normal(0, 1), shift 12"
    with pytest.raises(InputError, match="no data set of images or videos is enabled"):
        preview(tmp_path, ())
    path = tmp_path / "config.json"
    path.write_text('{"model_family": "wan", "data_backend_config": "none.json"}')
    with pytest.raises(InputError, match=r"none.json: no such file"):
        SimpleTuner().preview(path, None)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"flow_cubic_schedule_weights": "0,0"}, "weights: .* nor all 0"),
        ({"flow_cubic_schedule_weights": "-1,2"}, "weights: .* none may be below 0"),
        ({"flow_cubic_schedule_weights": "1,nan"}, "weights: nan is not finite"),
        ({"flow_custom_timesteps": "-5,2000"}, "timesteps are 0 to 1000"),
    ],
)
def test_numbers_out_of_range_are_refused(tmp_path, options, fault):
    with pytest.raises(InputError, match=fault):
        preview(tmp_path, **options)
    drawn = {"data_backend_sampling": "uniform"}
    for value, words in ((-1, "-1 must be 0 or above"), (0, "sums to 0")):
        sets = [VIDEO | {"probability": value}] * 2
        with pytest.raises(InputError, match=f"probability: {words}"):
            preview(tmp_path, sets, **drawn)
