import json

import numpy as np
import pytest
from export_cases import by_class, export_case
from trainer_rules import CLOSE, DRAWS, diffsynth_wan, distance

from tqd_probe.core.errors import InputError
from tqd_probe.exporting.writers.diffsynth import row_counts

LAUNCH = """accelerate launch examples/wanvideo/model_training/train.py \\
  --dataset_base_path data --dataset_metadata_path data/metadata.csv \\
  --height 480 --width 832 --dataset_repeat 100 \\
  --model_id_with_origin_paths "Wan-AI/Wan2.2-T2V-A14B:{model}*.safetensors" \\
  --lora_base_model "dit" --output_path $HOME/models {options}
"""
EXPERTS = {"high": "high_noise_model/d", "low": "low_noise_model/d"}


def script(folder, *models, options=""):
    path = folder / "user.sh"
    path.write_text("\n".join(LAUNCH.format(model=m, options=options) for m in models))
    return path


def drawn(rows, name):
    """Draw levels by the trainer's rule from the rows of a class."""
    rng = np.random.default_rng(4)
    own = [row for row in rows if row["class"] == name]
    ends = ("min_timestep_boundary", "max_timestep_boundary")
    levels = [
        diffsynth_wan(rng, *(row[end] for end in ends), DRAWS // len(own))
        for row in own
    ]
    return np.concatenate(levels)


def rows_of(folder, number=1):
    lines = (folder / "out" / f"metadata-{number}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_rows_train_each_class_in_its_bands(tmp_path):
    case = export_case(tmp_path)
    done = case.export("diffsynth", script(tmp_path, "diffusion_pytorch_model"))
    classes = by_class(done)
    rows = rows_of(tmp_path)
    for name, each in classes.items():
        assert distance(drawn(rows, name), each.realised) < CLOSE
        # bfloat16 timesteps near an edge of a band may fall on its other side
        assert each.distance < 0.02, name
        share = sum(row["class"] == name for row in rows) / len(rows)
        assert share == pytest.approx(each.plan.share, abs=0.01)
    assert classes["motion_degraded"].realised.mass([(0.26, 0.39)]) == 0
    text = (tmp_path / "out" / "train.sh").read_text()
    assert "--extra_inputs min_timestep_boundary,max_timestep_boundary" in text
    assert f"--dataset_metadata_path {tmp_path}/out/metadata-1.jsonl" in text
    assert '"$HOME/models"' in text
    assert rows[0]["video"] == str(tmp_path / "golden0.mp4")
    assert rows[0]["prompt"] == "golden, number 0"


def test_both_networks_of_wan_22(tmp_path):
    case = export_case(tmp_path)
    config = script(tmp_path, *EXPERTS.values())
    done = case.export("diffsynth", config)
    for number, (expert, limits) in enumerate(
        {"high": (0.875, 1.0), "low": (0.0, 0.875)}.items(), 1
    ):
        classes = by_class(done, expert)
        rows = rows_of(tmp_path, number)
        for name, each in classes.items():
            assert distance(drawn(rows, name), each.realised) < CLOSE
            assert each.realised.mass([limits]) > 0.99
            assert each.distance < 0.03
            share = sum(row["class"] == name for row in rows) / len(rows)
            assert share == pytest.approx(each.plan.share, abs=0.012)
    assert "motion_degraded" not in by_class(done, "high")
    (said,) = done.said
    assert said.startswith("motion_degraded: no band in the levels of the high-noise")


def test_as_few_rows_as_come_close():
    assert row_counts([0.5, 0.5]) == [1, 1]
    assert row_counts([0.3, 0.1]) == [3, 1]
    assert row_counts([0.4, 0.6]) == [2, 3]


def test_rows_that_have_boundaries_are_refused(tmp_path):
    case = export_case(tmp_path)
    options = "--extra_inputs min_timestep_boundary"
    config = script(tmp_path, "m", options=options)
    with pytest.raises(InputError, match="rows already have boundaries"):
        case.export("diffsynth", config)
    assert not (tmp_path / "out").exists()
