import os
import shlex

import numpy as np
import pytest
import trainer_rules
from export_cases import by_class, export_case
from trainer_rules import CLOSE, distance

from tqd_probe.core.errors import InputError
from tqd_probe.core.structured_text import parse_structured

SCRIPT = """accelerate launch --mixed_precision bf16 \\
    src/musubi_tuner/wan_train_network.py --task t2v-1.3B --dit path/to/dit \\
    --dataset_config data.toml --sdpa --optimizer_args a=1 b=2 \\
    --network_module networks.lora_wan {} \\
    --output_dir /models/lora --output_name style
"""
DATA = """[general]
resolution = [960, 544]
batch_size = 1

[[datasets]]
video_directory = "/data/videos"
cache_directory = "/data/cache"
target_frames = [1, 25, 45]
frame_extraction = "head"
"""
SHIFT = "--timestep_sampling shift --discrete_flow_shift {} --max_train_epochs 10"


def script(folder, options):
    (folder / "data.toml").write_text(DATA)
    path = folder / "user.sh"
    path.write_text(SCRIPT.format(options))
    return path


def options_of(path):
    """Read the options of a command that was written, not by the package."""
    words = shlex.split(path.read_text().replace("\\\n", " "))
    found = {}
    for word, after in zip(words, [*words[1:], "--"]):
        if word.startswith("--"):
            found[word[2:]] = True if after.startswith("--") else after
    return found


def drawn(folder, name, share_of):
    """Draw levels by the trainer's rule from the runs of a class."""
    parts = []
    for path in sorted(folder.glob(f"*-{name}*.sh")):
        options = options_of(path)
        numbers = {
            key: float(value)
            for key, value in options.items()
            if key in ("discrete_flow_shift", "min_timestep", "max_timestep")
        }
        levels = trainer_rules.musubi(
            np.random.default_rng(3),
            timestep_sampling=options["timestep_sampling"],
            preserve_distribution_shape="preserve_distribution_shape" in options,
            **numbers,
        )
        parts.append(levels[: round(len(levels) * share_of(path.stem))])
    return np.concatenate(parts)


@pytest.mark.parametrize("shift", [1.0, 3.0, 5.0])
def test_runs_train_each_class_in_its_bands(tmp_path, shift):
    case = export_case(tmp_path)
    done = case.export("musubi", script(tmp_path, SHIFT.format(shift)))
    for name, each in by_class(done).items():
        parts = each.plan.parts

        def share(stem, parts=parts):
            return parts[int(stem[-1]) - 1] if stem[-1].isdigit() else 1.0

        assert distance(drawn(tmp_path / "out", name, share), each.realised) < CLOSE
        assert each.distance < 0.002


def test_the_chain_and_its_data(tmp_path):
    done = export_case(tmp_path).export("musubi", script(tmp_path, SHIFT.format(3)))
    out = tmp_path / "out"
    names = [
        "1-motion_degraded-1",
        "2-motion_degraded-2",
        "3-visual_degraded",
        "4-golden",
    ]
    assert {path.stem for path in out.glob("[1-9]*.sh")} == set(names)
    options = [options_of(out / f"{name}.sh") for name in names]
    assert [each["output_name"] for each in options] == [f"style-{n}" for n in names]
    assert [each.get("network_weights") for each in options] == [
        None,
        *(f"/models/lora/style-{name}.safetensors" for name in names[:-1]),
    ]
    assert [(each["min_timestep"], each["max_timestep"]) for each in options] == [
        ("0", "250"),
        ("400", "600"),
        ("500", "1000"),
        ("0", "1000"),
    ]
    assert "--optimizer_args a=1 b=2" in (out / f"{names[0]}.sh").read_text()
    data = parse_structured((out / "data-3-visual_degraded.toml").read_text(), ".toml")
    assert data["general"] == {"resolution": [960, 544], "batch_size": 1}
    assert data["datasets"] == [
        {
            "target_frames": [1, 25, 45],
            "frame_extraction": "head",
            "video_jsonl_file": f"{out}/clips-visual_degraded.jsonl",
            "cache_directory": f"{out}/cache/visual_degraded",
        }
    ]
    assert (out / "clips-visual_degraded.jsonl").read_text().count("\n") == 3
    assert done.steps[1].startswith(f"bash {out}/train.sh")


def test_a_folder_of_any_name(tmp_path):
    name = 'it\'s a "$HOME" folder'
    script_text = script(tmp_path, SHIFT.format(3))
    script_text.write_text(
        script_text.read_text().replace("--output_dir /models/lora", "")
    )
    export_case(tmp_path).export("musubi", script_text, out=name)
    for path in (tmp_path / name).glob("*.sh"):
        assert not os.system(f"bash -n {shlex.quote(str(path))}")
    options = options_of(tmp_path / name / "4-golden.sh")
    assert options["output_dir"] == str(tmp_path / name / "output")
    assert options["dataset_config"].startswith(str(tmp_path / name))


def test_the_mode_that_turns_ranges_round_is_replaced(tmp_path):
    done = export_case(tmp_path).export("musubi", script(tmp_path, ""))
    visual = by_class(done)["visual_degraded"]
    assert visual.realised.mass([(0.5, 1.0)]) == pytest.approx(1.0)
    assert visual.distance < 0.002
    assert "turns ranges round; uniform" in done.said[-1]
    assert options_of(tmp_path / "out" / "4-golden.sh")["max_train_steps"] == str(
        round(1600 * 4 / 9)
    )


def test_two_networks_take_the_same_runs(tmp_path):
    more = "--task t2v-A14B --dit_high_noise high.safetensors "
    done = export_case(tmp_path).export(
        "musubi", script(tmp_path, more + SHIFT.format(5))
    )
    for each in by_class(done).values():
        assert each.distance < 0.002


def test_a_table_of_settings_is_changed_in_place(tmp_path):
    (tmp_path / "data.toml").write_text(DATA)
    config = tmp_path / "user.toml"
    config.write_text(
        '# mine\ndataset_config = "data.toml"\n[network]\n'
        'network_module = "networks.lora_wan"  # kept\nnetwork_dim = 32\n'
        "[steps]\nmax_train_steps = 900\ntimestep_sampling = 'sigmoid'\n"
    )
    done = export_case(tmp_path).export("musubi", config)
    text = (tmp_path / "out" / "3-visual_degraded.toml").read_text()
    table = parse_structured(text, ".toml")
    assert "# mine" in text
    assert "# kept" in text
    assert table["min_timestep"] == 500
    assert table["max_train_steps"] == 300
    assert table["steps"] == {}
    assert by_class(done)["visual_degraded"].distance < 0.002
    assert "wan_train_network.py" in (tmp_path / "out" / "train.sh").read_text()


def test_data_sets_that_are_no_tables_are_refused(tmp_path):
    config = script(tmp_path, "")
    (tmp_path / "data.toml").write_text("datasets = ['a']\n")
    with pytest.raises(InputError, match=r"data.toml: datasets: needs tables"):
        export_case(tmp_path).export("musubi", config)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ("--weighting_scheme logit_normal", "turns ranges round and squeezes"),
        ("--min_timestep 100", "bands take their place"),
        ("--max_train_epochs 0", "max_train_epochs: 0 must be a whole number"),
        ("--max_train_steps 2", "2 steps are too few for 4 runs"),
    ],
)
def test_what_cannot_carry_bands_is_refused(tmp_path, options, fault):
    with pytest.raises(InputError, match=fault):
        export_case(tmp_path).export("musubi", script(tmp_path, options))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("module", "script_name"),
    [
        ("lora", "hv"),
        ("lora_wan", "wan"),
        ("lora_kandinsky", "kandinsky5"),
        ("lora_framepack", "fpack"),
        ("lora_hv_1_5", "hv_1_5"),
    ],
)
def test_a_table_is_launched_by_the_script_of_its_module(tmp_path, module, script_name):
    case = export_case(tmp_path)
    (tmp_path / "data.toml").write_text(DATA)
    table = tmp_path / "user.toml"
    text = 'dataset_config = "data.toml"\ntimestep_sampling = "uniform"\n'
    table.write_text(f'{text}[network]\nnetwork_module = "networks.{module}"\n')
    case.export("musubi", table)
    launched = (tmp_path / "out" / "train.sh").read_text()
    assert launched.count(f"src/musubi_tuner/{script_name}_train_network.py") == 4
    table.write_text(table.read_text().replace(f"networks.{module}", "networks.loha"))
    with pytest.raises(InputError, match=r"networks.loha: is of no one script"):
        case.export("musubi", table, out="other")
