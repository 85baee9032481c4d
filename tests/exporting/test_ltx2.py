import numpy as np
import pytest
import trainer_rules
from trainer_rules import CLOSE, DRAWS, distance

from tqd_probe.core.errors import InputError
from tqd_probe.exporting.ltx2 import Ltx2
from tqd_probe.exporting.trainer_format import VideoShape

# packages/ltx-trainer/configs/t2v_lora.yaml of LTX-2, shortened
EXAMPLE = """
model:
  model_path: "path/to/ltx-2-model.safetensors"
  training_mode: "lora"
training_strategy:
  name: "flexible"
  video:
    is_generated: {generated}
data:
  preprocessed_data_root: "/path/to/preprocessed/data"
{validation}
flow_matching:
{flow}
"""
DIMS = "validation:\n  video_dims: [ 960, 544, 89 ]\n"


def preview(tmp_path, flow, shape=None, validation=DIMS, generated="true"):
    path = tmp_path / "lora.yaml"
    text = "\n".join(f"  {line}" for line in flow)
    path.write_text(
        EXAMPLE.format(flow=text, validation=validation, generated=generated)
    )
    assert Ltx2().recognises(path)
    return Ltx2().preview(path, shape)


SHIFTED = ["timestep_sampling_mode: shifted_logit_normal"]


@pytest.mark.parametrize("shape", [(17, 256, 256), (89, 544, 960), (121, 1088, 1920)])
def test_draws_by_the_published_rule_have_this_density(tmp_path, shape):
    frames, height, width = shape
    found = preview(tmp_path, SHIFTED, VideoShape(frames, height, width))
    tokens = ((frames - 1) // 8 + 1) * (height // 32) * (width // 32)
    draws = trainer_rules.ltx2_shifted(np.random.default_rng(1), tokens)
    assert distance(draws, found.trained[0].levels) < CLOSE
    assert bool(found.traps) == (tokens > 6144)


def test_other_parameters_of_the_default_mode(tmp_path):
    flow = [*SHIFTED, "timestep_sampling_params: {std: 0.5, uniform_prob: 0.0}"]
    found = preview(tmp_path, flow, validation=DIMS.replace("89", "97"))
    tokens = 13 * 17 * 30
    draws = trainer_rules.ltx2_shifted(
        np.random.default_rng(1), tokens, std=0.5, uniform_prob=0.0
    )
    assert distance(draws, found.trained[0].levels) < CLOSE
    assert "2.96 at 6630" in found.traps[0]
    assert "validation.video_dims [960, 544, 97]" in found.notes[0]


def test_a_range_is_uniform(tmp_path):
    flow = [
        "timestep_sampling_mode: uniform",
        "timestep_sampling_params: {min_value: 0.6, max_value: 0.9}",
    ]
    found = preview(tmp_path, flow)
    draws = np.random.default_rng(1).random(DRAWS) * 0.3 + 0.6
    assert distance(draws, found.trained[0].levels) < CLOSE
    assert (found.traps, found.notes) == ([], [])
    found = preview(tmp_path, flow, generated="false")
    assert "sigma is 0" in found.traps[0]


@pytest.mark.parametrize(
    ("flow", "fault"),
    [
        (["min_value: 0.6"], "flow_matching.min_value: unknown"),
        (["timestep_sampling_mode: beta"], "choose from uniform, shifted_logit"),
        ([*SHIFTED, "timestep_sampling_params: {min_value: 0.1}"], "the trainer stops"),
        ([*SHIFTED, "timestep_sampling_params: {std: 0}"], "out of range"),
    ],
)
def test_what_the_trainer_refuses_is_refused(tmp_path, flow, fault):
    with pytest.raises(InputError, match=fault):
        preview(tmp_path, flow)
    with pytest.raises(InputError, match="depend on the size of the clips"):
        preview(tmp_path, SHIFTED, validation="")


def test_a_training_of_audio_alone_is_named(tmp_path):
    # configs/t2a_lora.yaml of LTX-2 (400fd31): strategy flexible without video
    path = tmp_path / "t2a.yaml"
    path.write_text(
        "training_strategy:\n  name: flexible\n  audio:\n    is_generated: true\n"
        "flow_matching:\n  timestep_sampling_mode: uniform\n"
    )
    (trap,) = Ltx2().preview(path, None).traps
    assert trap.startswith("training_strategy.video: missing: audio alone is trained")
    path.write_text(path.read_text().replace("flexible", "text_to_video"))
    assert Ltx2().preview(path, None).traps == []


def test_a_table_of_something_else_is_not_taken_for_a_configuration(tmp_path):
    path = tmp_path / "shop.yaml"
    path.write_text("name: shop\nprice: 3\n")
    with pytest.raises(InputError, match=r"model, data: missing; give the LTX-2"):
        Ltx2().preview(path, None)
