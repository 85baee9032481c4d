import numpy as np
import pytest
import trainer_rules
from trainer_rules import CLOSE, distance

from tqd_probe.core.errors import InputError
from tqd_probe.exporting.fastvideo import FastVideo

# examples/train/configs/fine_tuning/wan/t2v.yaml of FastVideo, shortened
EXAMPLE = """
models:
  student:
    _target_: fastvideo.train.models.wan.WanModel
    init_from: Wan-AI/Wan2.1-T2V-1.3B-Diffusers
{student}
training:
  model:
    enable_gradient_checkpointing_type: full
{model}
pipeline:
  flow_shift: {pipeline}
"""


def preview(tmp_path, student="", model="", pipeline=3):
    path = tmp_path / "t2v.yaml"
    path.write_text(EXAMPLE.format(student=student, model=model, pipeline=pipeline))
    assert FastVideo().recognises(path)
    return FastVideo().preview(path, None)


@pytest.mark.parametrize("shift", [1.0, 3.0, 5.0])
def test_draws_by_the_published_rule_have_this_density(tmp_path, shift):
    model = "    weighting_scheme: logit_normal\n    logit_mean: 1.0"
    found = preview(tmp_path, f"    flow_shift: {shift}", model, shift)
    draws = trainer_rules.fastvideo(np.random.default_rng(1), 1.0, flow_shift=shift)
    assert distance(draws, found.trained[0].levels) < CLOSE
    assert len(found.traps) == 1


def test_the_sign_is_reversed(tmp_path):
    found = preview(
        tmp_path, model="    weighting_scheme: logit_normal\n    logit_mean: 1"
    )
    # without the reversal the median would be 0.89
    assert "median level is 0.52; write -1" in found.traps[0]
    found = preview(tmp_path, model="    logit_mean: 1.0")
    assert found.traps == ["logit_mean: ignored without weighting_scheme: logit_normal"]
    assert found.trained[0].levels.cdf(0.75) == pytest.approx(0.5, abs=2e-3)


def test_the_shift_of_the_pipeline_is_not_that_of_training(tmp_path):
    found = preview(tmp_path, pipeline=7)
    assert "set models.student.flow_shift" in found.traps[0]
    assert found.trained[0].rule == "uniform of the index, shift 3"


def test_methods_and_families_of_their_own(tmp_path):
    found = preview(tmp_path)
    assert found.traps == []
    path = tmp_path / "t2v.yaml"
    path.write_text(path.read_text() + "method: {_target_: fastvideo.DMD2Method}\n")
    assert (
        "method DMD2Method: draws its own levels"
        in FastVideo().preview(path, None).traps[0]
    )
    path.write_text(path.read_text().replace("models.wan", "models.ltx2"))
    with pytest.raises(InputError, match="levels are known of wan, hunyuan"):
        FastVideo().preview(path, None)
