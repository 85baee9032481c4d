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


def test_the_range_of_a_launch_is_kept(tmp_path):
    # lora/Wan2.2-I2V-A14B.sh and MOVA-360P-I2AV.sh (fed7b18): 0.358 is sigma 0.9, and
    # is kept whatever --boundary is, also where no file name tells the network
    text = script(tmp_path, *EXPERTS.values()).read_text()
    high, low = text.split("\n\n")
    high += " --max_timestep_boundary 0.358 --min_timestep_boundary 0"
    low += " --max_timestep_boundary 1 --min_timestep_boundary 0.358"
    text = high.replace(" \n ", " ") + "\n\n" + low.replace(" \n ", " ")
    for name in ("user.sh", "mova.sh"):
        path = tmp_path / name
        made = text.replace("\n --m", " --m")
        if name == "mova.sh":
            made = made.replace("high_noise_model", "a").replace("low_noise_model", "b")
        path.write_text(made)
        out = f"out-{name}"
        done = export_case(tmp_path).export("diffsynth", path, out=out)
        experts = [("high", "low")[k > 1] for k in range(5)]
        if name == "user.sh":
            assert [each.expert for each in done.classes] == experts
        for each, expert in zip(done.classes, experts):
            assert each.distance < 0.02
            ends = [(0.899, 1.0)] if expert == "high" else [(0.0, 0.901)]
            assert each.realised.mass(ends) == pytest.approx(1)


def test_columns_that_the_launch_asks_for_are_carried(tmp_path):
    # train.py (fed7b18), parse_extra_inputs: a name of --extra_inputs is read from the
    # row, but for the images that are made of the video
    case = export_case(tmp_path)
    options = "--extra_inputs input_image,control_video"
    config = script(tmp_path, "diffusion_pytorch_model", options=options)
    data = tmp_path / "data"
    data.mkdir()
    videos = sorted(tmp_path.glob("*.mp4"))
    lines = [f"../{each.name},p,control/{each.stem}.mp4" for each in videos]
    head = "video,prompt,control_video"
    (data / "metadata.csv").write_text("\n".join([head, *lines]) + "\n")
    case.export("diffsynth", config)
    for row in rows_of(tmp_path):
        stem = row["video"].rpartition("/")[2].removesuffix(".mp4")
        assert row["control_video"] == f"control/{stem}.mp4"
        assert "input_image" not in row
    text = (tmp_path / "out" / "train.sh").read_text()
    assert "--extra_inputs input_image,control_video,min_timestep_boundary" in text
    (data / "metadata.csv").write_text("\n".join([head, *lines[1:]]) + "\n")
    with pytest.raises(InputError, match=r"golden0.mp4: has no row, and --extra_inp"):
        case.export("diffsynth", config, out="other")
    (data / "metadata.csv").write_text("video,prompt\n../golden0.mp4,p\n")
    with pytest.raises(InputError, match="control_video: missing, and --extra_inputs"):
        case.export("diffsynth", config, out="other")


def test_the_rows_of_a_cache_are_given_to_the_launch_that_makes_it(tmp_path):
    case = export_case(tmp_path)
    made = LAUNCH.format(model="d", options='--task "sft:data_process"')
    made = made.replace("$HOME/models", "./cache").replace("repeat 100", "repeat 1")
    read = LAUNCH.format(model="d", options='--task "sft:train"')
    read = read.replace("--dataset_base_path data ", "--dataset_base_path cache ")
    read = read.replace("--dataset_metadata_path data/metadata.csv", "")
    path = tmp_path / "user.sh"
    path.write_text(f"{made}\n{read}")
    done = case.export("diffsynth", path)
    for each in done.classes:
        assert each.distance < 0.02
    out = tmp_path / "out"
    first, second = (out / "train.sh").read_text().split("\n\n")[1:]
    assert "--task sft:data_process" in first
    assert f"--dataset_metadata_path {out}/metadata-1.jsonl" in first
    assert f"--output_path {out}/cache-1" in first
    assert "--extra_inputs min_timestep_boundary,max_timestep_boundary" in first
    assert "--dataset_repeat 1\n" in first + "\n"
    assert "--task sft:train" in second
    assert f"--dataset_base_path {out}/cache-1" in second
    assert "metadata" not in second
    assert "extra_inputs" not in second
    path.write_text(read)
    with pytest.raises(InputError, match="no launch of the script makes it"):
        case.export("diffsynth", path, out="other")
