import numpy as np
import pytest
import trainer_rules
import yaml
from trainer_rules import CLOSE, distance

from tqd_probe.core.errors import InputError
from tqd_probe.exporting.nemo import Nemo

# examples/diffusion/finetune/wan2_2_t2v_flow.yaml of NeMo Automodel, shortened
EXAMPLE = """
model:
  pretrained_model_name_or_path: Wan-AI/Wan2.2-T2V-A14B-Diffusers
  mode: finetune
{model}
data:
  dataloader:
    cache_dir: PATH_TO_YOUR_WAN22_DATA
flow_matching:
  adapter_type: "simple"
  num_train_timesteps: 1000
{flow}
"""


def preview(tmp_path, model="", **flow):
    lines = "\n".join(f"  {key}: {value}" for key, value in flow.items())
    path = tmp_path / "wan.yaml"
    path.write_text(EXAMPLE.format(flow=lines, model=model))
    assert Nemo().recognises(path)
    return Nemo().preview(path, None)


CASES = [
    {},
    {"timestep_sampling": "uniform", "flow_shift": 1.0},
    {"timestep_sampling": "uniform", "flow_shift": 3.0},
    {"timestep_sampling": "logit_normal", "flow_shift": 5.0, "mix_uniform_ratio": 0.0},
    {"timestep_sampling": "logit_normal", "logit_mean": 0.5, "logit_std": 2.0},
    {"timestep_sampling": "beta", "beta_alpha": 6.19, "beta_beta": 2.06},
    {"timestep_sampling": "uniform", "sigma_min": 0.875},
    {"timestep_sampling": "uniform", "sigma_max": 0.875, "flow_shift": 5.0},
    {"use_sigma_noise": False, "sigma_min": 0.001, "sigma_max": 0.999},
]


@pytest.mark.parametrize("flow", CASES, ids=str)
def test_draws_by_the_published_rule_have_this_density(tmp_path, flow):
    found = preview(tmp_path, **flow)
    draws = trainer_rules.nemo(np.random.default_rng(1), **flow)
    assert distance(draws, found.trained[0].levels) < CLOSE


@pytest.mark.parametrize(
    ("stage", "expert", "clamped"),
    [("high_noise", "high", 0.7), ("low_noise", "low", 0.3)],
)
def test_a_stage_clamps(tmp_path, stage, expert, clamped):
    model = f"  stage: {stage}\n  boundary_ratio: 0.875"
    found = preview(tmp_path, model, timestep_sampling="uniform", flow_shift=3.0)
    (trained,) = found.trained
    assert trained.expert == expert
    # the share of a uniform u, shifted by 3, below 0.875
    assert trained.levels.atoms() == [(0.875, pytest.approx(clamped))]
    share = f"{100 * clamped:.0f} % exactly at 0.875"
    assert found.traps[0].startswith("model.stage: clamps instead of drawing again")
    assert found.traps[0].endswith(share)


def test_what_acts_where_it_is_not_expected(tmp_path):
    found = preview(tmp_path, timestep_sampling="logit_normal")
    assert "mix_uniform_ratio 0.1: acts on logit_normal too" in found.traps[0]
    assert found.notes == ["the loss is weighted by 1 + 3 sigma (use_loss_weighting)"]
    found = preview(tmp_path, timestep_sampling="beta", flow_shift=5.0)
    assert "does not shift a Beta" in found.traps[0]
    found = preview(tmp_path, use_sigma_noise="false", flow_shift=5.0)
    assert "logit_normal, flow_shift: ignored by use_sigma_noise" in found.traps[0]
    assert preview(tmp_path, use_loss_weighting="false").notes == []


@pytest.mark.parametrize(
    ("model", "flow", "fault"),
    [
        ("", {"timestep_sampling": "betta"}, "would train uniformly without a word"),
        ("", {"timestep_sampling": "beta", "beta_alpha": 0}, "both must be above 0"),
        ("", {"sigma_min": 0.9, "sigma_max": 0.5}, "0 <= min < max <= 1"),
        ("  stage: high", {}, "use high_noise or low_noise"),
        ("  stage: high_noise\n  boundary_ratio: 875", {}, r"needs \(0, 1\)"),
    ],
)
def test_faults_are_named(tmp_path, model, flow, fault):
    with pytest.raises(InputError, match=fault):
        preview(tmp_path, model, **flow)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("method", ["uniform", "logit_normal", "mode"])
@pytest.mark.parametrize("shift", [1e-300, 1e-9, 1e9, 1e30, 1e300])
def test_extreme_shifts_have_a_density_and_no_warning(tmp_path, method, shift):
    path = tmp_path / "a.yaml"
    flow = {"timestep_sampling": method, "flow_shift": shift}
    path.write_text(yaml.safe_dump({"flow_matching": flow}))
    (trained,) = Nemo().preview(path, None).trained
    end = [(0.0, 0.01)] if shift < 1 else [(0.99, 1.0)]
    assert trained.levels.mass(end) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("shift", [0, -3, "fast", ".nan", True, [3], 10**400])
def test_a_shift_that_is_none_is_one_line(tmp_path, shift):
    path = tmp_path / "a.yaml"
    path.write_text(
        f"flow_matching: {{timestep_sampling: uniform, flow_shift: {shift}}}"
    )
    with pytest.raises(InputError, match=r"a.yaml: flow_shift: ") as error:
        Nemo().preview(path, None)
    assert "\n" not in str(error.value)
