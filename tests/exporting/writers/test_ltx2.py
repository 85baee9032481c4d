import json

import numpy as np
import pytest
import trainer_rules
import yaml
from export_cases import by_class, export_case
from trainer_rules import CLOSE, DRAWS, distance

from tqd_probe.core.errors import InputError
from tqd_probe.exporting.trainer_format import VideoShape

CONFIG = """model:
  model_path: "ltx-2-model.safetensors"
  training_mode: "lora"
  load_checkpoint: null
training_strategy:
  name: "flexible"
  video:
    is_generated: {generated}
optimization:
  learning_rate: 1e-4
  steps: {steps}
data:
  preprocessed_data_root: "/path/to/preprocessed/data"
flow_matching:
  timestep_sampling_mode: "{mode}"
  timestep_sampling_params: {params}
output_dir: "outputs/t2v_lora"
"""
SHAPE = VideoShape(49, 544, 960)


def configuration(folder, mode="uniform", params="{}", steps=900, generated="true"):
    path = folder / "user.yaml"
    text = CONFIG.format(mode=mode, params=params, steps=steps, generated=generated)
    path.write_text(text)
    return path


def runs(out, name):
    found = sorted(out.glob(f"[1-9]*-{name}*.yaml"))
    return [yaml.safe_load(path.read_text()) for path in found]


@pytest.mark.parametrize("params", ["{}", "{min_value: 0.1, max_value: 0.9}"])
def test_uniform_levels_are_cut_exactly(tmp_path, params):
    case = export_case(tmp_path)
    done = case.export("ltx2", configuration(tmp_path, params=params), shape=SHAPE)
    for name, each in by_class(done).items():
        parts = []
        for run, share in zip(runs(tmp_path / "out", name), each.plan.parts):
            ends = run["flow_matching"]["timestep_sampling_params"]
            low, high = ends.get("min_value", 0.0), ends.get("max_value", 1.0)
            count = round(DRAWS * share)
            parts.append(np.random.default_rng(3).random(count) * (high - low) + low)
        assert distance(np.concatenate(parts), each.realised) < CLOSE
        assert each.distance < 1e-6


def test_the_default_mode_is_kept_where_it_can_be(tmp_path):
    case = export_case(tmp_path)
    config = configuration(tmp_path, "shifted_logit_normal")
    done = case.export("ltx2", config, shape=SHAPE)
    classes = by_class(done)
    assert classes["golden"].distance == 0
    tokens = 7 * 17 * 30
    draws = trainer_rules.ltx2_shifted(np.random.default_rng(1), tokens)
    assert distance(draws, classes["golden"].realised) < CLOSE
    inside = np.sort(draws[draws >= 0.5])
    flat = (inside - 0.5) / 0.5
    ranks = np.arange(len(inside)) / len(inside)
    known = np.abs(ranks - flat).max()
    assert classes["visual_degraded"].distance == pytest.approx(known, abs=0.012)
    assert "has no range: inside bands levels are uniform" in done.said[-1]


def test_the_chain_keeps_the_users_settings(tmp_path):
    case = export_case(tmp_path)
    case.export("ltx2", configuration(tmp_path), shape=SHAPE)
    out = tmp_path / "out"
    (visual,) = runs(out, "visual_degraded")
    assert visual["optimization"] == {"learning_rate": 1e-4, "steps": 300}
    root = visual["data"]["preprocessed_data_root"]
    assert root == f"{out}/preprocessed/visual_degraded"
    assert visual["model"]["load_checkpoint"] == f"{out}/output/2-motion_degraded-2"
    assert visual["checkpoints"] == {"no_resume": True}
    first, second = runs(out, "motion_degraded")
    assert first["model"]["load_checkpoint"] is None
    assert first["optimization"]["steps"] + second["optimization"]["steps"] == 200
    data = json.loads((out / "data-visual_degraded.json").read_text())
    assert data[0] == {
        "caption": "visual_degraded, number 0",
        "media_path": f"{tmp_path}/visual_degraded0.mp4",
    }


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ({"generated": "false"}, "condition and its sigma is 0"),
        ({"steps": 3}, "3 steps are too few"),
    ],
)
def test_what_cannot_carry_bands_is_refused(tmp_path, more, fault):
    with pytest.raises(InputError, match=fault):
        export_case(tmp_path).export("ltx2", configuration(tmp_path, **more))


@pytest.mark.parametrize("name", ["model", "data", "optimization", "checkpoints"])
def test_parts_that_are_no_tables_are_refused(tmp_path, name):
    config = configuration(tmp_path)
    table = yaml.safe_load(config.read_text())
    config.write_text(yaml.safe_dump(table | {name: "x"}))
    with pytest.raises(InputError, match=f"user.yaml: {name}: is no table"):
        export_case(tmp_path).export("ltx2", config)
    if name != "optimization":
        config.write_text(yaml.safe_dump(table | {name: None}))
        export_case(tmp_path).export("ltx2", config)
