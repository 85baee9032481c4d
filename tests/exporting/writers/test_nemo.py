import numpy as np
import pytest
import trainer_rules
import yaml
from export_cases import by_class, export_case
from trainer_rules import CLOSE, distance

from tqd_probe.core.errors import InputError
from tqd_probe.exporting.level_distribution import beta
from tqd_probe.exporting.writers.nemo import closest_beta

CONFIG = """model:
  pretrained_model_name_or_path: Wan-AI/Wan2.1-T2V-14B-Diffusers
{model}
data:
  dataloader:
    _target_: nemo_automodel.build
    cache_dir: PATH_TO_YOUR_DATA
optimizer:
  lr: 5e-6
flow_matching:
  adapter_type: "simple"
  timestep_sampling: "uniform"
  flow_shift: {shift}
{flow}
checkpoint:
  enabled: true
  restore_from: null
"""
ONE_BAND = {"visual_degraded": [[0.5, 1.0]], "motion_degraded": [[0.0, 0.3]]}
DISTANCES = {  # of visual and motion degraded, by shift
    1.0: [0.064, 0.071],
    3.0: [0.039, 0.080],
    5.0: [0.026, 0.081],
}


def configuration(folder, shift=3.0, model="", flow=""):
    path = folder / "user.yaml"
    path.write_text(CONFIG.format(shift=shift, model=model, flow=flow))
    return path


def run_of(out, name):
    (path,) = out.glob(f"[1-9]*-{name}.yaml")
    return yaml.safe_load(path.read_text())


@pytest.mark.parametrize("shift", [1.0, 3.0, 5.0])
def test_a_beta_for_each_class(tmp_path, shift):
    case = export_case(tmp_path, ONE_BAND)
    classes = by_class(case.export("nemo", configuration(tmp_path, shift)))
    for name, each in classes.items():
        flow = run_of(tmp_path / "out", name)["flow_matching"]
        flow = {k: v for k, v in flow.items() if k != "adapter_type"}
        draws = trainer_rules.nemo(np.random.default_rng(2), **flow)
        assert distance(draws, each.realised) < CLOSE
    assert classes["golden"].distance == 0
    found = [classes[name].distance for name in ("visual_degraded", "motion_degraded")]
    assert found == pytest.approx(DISTANCES[shift], abs=0.005)


def test_a_beta_is_found_again():
    alpha, other = closest_beta(beta(6.19, 2.06))
    assert (alpha, other) == pytest.approx((6.19, 2.06), rel=0.01)


def test_the_chain_keeps_the_users_settings(tmp_path):
    case = export_case(tmp_path, ONE_BAND)
    done = case.export("nemo", configuration(tmp_path))
    out = tmp_path / "out"
    visual = run_of(out, "visual_degraded")
    assert visual["optimizer"] == {"lr": 5e-6}
    assert visual["data"]["dataloader"] == {
        "_target_": "nemo_automodel.build",
        "cache_dir": f"{out}/cache/visual_degraded",
    }
    assert visual["checkpoint"] == {
        "enabled": True,
        "restore_from": f"{out}/output/1-motion_degraded",
        "checkpoint_dir": f"{out}/output/2-visual_degraded",
    }
    assert run_of(out, "golden")["flow_matching"]["timestep_sampling"] == "uniform"
    assert done.said[-1] == "the loss stays weighted by 1 + 3 sigma"


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ({"model": "  stage: high_noise"}, "clamps sigma to its side"),
        ({"flow": "  sigma_min: 0.5"}, "clamp and do not draw again"),
    ],
)
def test_what_cannot_carry_bands_is_refused(tmp_path, more, fault):
    with pytest.raises(InputError, match=fault):
        export_case(tmp_path).export("nemo", configuration(tmp_path, **more))
    assert not (tmp_path / "out").exists()


def test_empty_parts_are_filled_in(tmp_path):
    config = configuration(tmp_path)
    table = yaml.safe_load(config.read_text())
    config.write_text(yaml.safe_dump(table | {"checkpoint": "x"}))
    with pytest.raises(InputError, match=r"user.yaml: checkpoint: is no table"):
        export_case(tmp_path).export("nemo", config)
    empty = {"checkpoint": None, "flow_matching": {"mix_uniform_ratio": 0}}
    config.write_text(yaml.safe_dump(table | empty))
    export_case(tmp_path).export("nemo", config)
    assert run_of(tmp_path / "out", "golden")["checkpoint"]["checkpoint_dir"]
