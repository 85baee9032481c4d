import json
import subprocess

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
        "restore_from": None,
        "checkpoint_dir": f"{out}/output/2-visual_degraded",
        "model_save_format": "safetensors",
        "save_consolidated": "final",
        "diffusers_compatible": True,
    }
    start = visual["model"]["pretrained_model_name_or_path"]
    assert start == f"{out}/start/2-visual_degraded"
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


def test_each_run_starts_from_the_model_of_the_last(tmp_path):
    # Automodel (36044ad), recipes/base_recipe.py: restore_from goes on with the steps
    # and epochs of a run, after the last of which nothing is trained; so that a run
    # gets a pipeline whose transformer is the one saved beside the last checkpoint.
    base = tmp_path / "wan"
    for name in ("transformer", "vae"):
        (base / name).mkdir(parents=True)
    (base / "model_index.json").write_text("{}")
    config = configuration(tmp_path)
    text = config.read_text().replace("Wan-AI/Wan2.1-T2V-14B-Diffusers", str(base))
    config.write_text(text)
    export_case(tmp_path, ONE_BAND).export("nemo", config)
    out = tmp_path / "out"
    for name in ("1-motion_degraded", "2-visual_degraded"):
        saved = out / "output" / name / "epoch_9_step_99" / "model" / "consolidated"
        saved.mkdir(parents=True)
        (saved / "config.json").write_text(name)
        (out / "output" / name / "LATEST").symlink_to("epoch_9_step_99")
    script = "torchrun() { :; }\n" + (out / "train.sh").read_text()
    subprocess.run(["bash", "-c", script], check=True)
    start = out / "start" / "3-golden"
    assert (start / "transformer" / "config.json").read_text() == "2-visual_degraded"
    assert (start / "vae").resolve() == base / "vae"
    assert (start / "model_index.json").read_text() == "{}"
    golden = run_of(out, "golden")
    assert golden["model"]["pretrained_model_name_or_path"] == str(start)
    assert run_of(out, "motion_degraded")["model"] == {
        "pretrained_model_name_or_path": str(base)
    }


def test_steps_that_end_a_run_are_shared_out(tmp_path):
    config = configuration(tmp_path)
    more = "step_scheduler:\n  max_steps: 90\n  global_batch_size: 8\n"
    config.write_text(config.read_text() + more)
    export_case(tmp_path, ONE_BAND).export("nemo", config)
    out = tmp_path / "out"
    for name, steps in (("golden", 40), ("visual_degraded", 30)):
        assert run_of(out, name)["step_scheduler"] == {
            "max_steps": steps,
            "global_batch_size": 8,
        }
    config.write_text(config.read_text().replace("max_steps: 90", "max_steps: 1"))
    with pytest.raises(InputError, match="max_steps: 1 are too few for 3 runs"):
        export_case(tmp_path, ONE_BAND).export("nemo", config, out="other")


def test_adapters_cannot_be_chained(tmp_path):
    config = configuration(tmp_path)
    config.write_text(config.read_text() + "peft:\n  dim: 16\n")
    with pytest.raises(InputError, match=r"user.yaml: peft: runs are chained"):
        export_case(tmp_path, ONE_BAND).export("nemo", config)
    one = export_case(tmp_path, ONE_BAND, counts={"visual_degraded": 2})
    one.export("nemo", config)
    assert run_of(tmp_path / "out", "visual_degraded")["peft"] == {"dim": 16}


def test_captions_are_as_the_preprocessing_reads_them(tmp_path):
    # tools/diffusion/processors/caption_loaders.py (36044ad): caption_format sidecar,
    # the default, reads video.json beside video.mp4, and no text file
    export_case(tmp_path, ONE_BAND).export("nemo", configuration(tmp_path))
    folder = tmp_path / "out" / "data" / "golden"
    assert {path.suffix for path in folder.iterdir()} == {".mp4", ".json"}
    caption = json.loads((folder / "golden1.json").read_text())
    assert caption == {"caption": "golden, number 1"}
