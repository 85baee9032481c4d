import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.exporting.registry import FORMATS, find_format

TEXTS = {
    "diffusion-pipe": ("a.toml", "[model]\ntype = 'wan'\n"),
    "musubi": ("a.toml", "network_module = 'networks.lora_wan'\n"),
    "diffsynth": ("a.sh", "accelerate launch x/train.py --dataset_base_path data\n"),
    "simpletuner": ("config.json", '{"data_backend_config": "x.json"}'),
    "ltx2": ("a.yaml", "flow_matching: {timestep_sampling_mode: uniform}\n"),
    "ai-toolkit": ("a.yaml", "config: {process: [{type: sd_trainer}]}\n"),
    "nemo": ("a.yaml", "flow_matching: {adapter_type: simple}\n"),
    "fastvideo": ("a.yaml", "models: {student: {_target_: fastvideo.x}}\n"),
    "tqd-probe": ("run.json", '{"settings": {"sampler": "uniform"}}'),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_configuration_is_recognised(tmp_path, name):
    file, text = TEXTS[name]
    (tmp_path / file).write_text(text)
    assert find_format(tmp_path / file).name == name


def test_names_are_those_of_the_modules():
    assert {name: each.name for name, each in FORMATS.items()} == {
        name: name for name in FORMATS
    }
    assert set(TEXTS) == set(FORMATS)


def test_what_is_not_recognised_needs_a_name(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("lr = 1e-4\n")
    with pytest.raises(InputError, match="of no known trainer; say which with --tr"):
        find_format(path)
    assert find_format(path, "musubi").title == "musubi-tuner"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", '{"a":', "cannot be read (Expecting value"),
        ("a.json", "[1]", "holds no table of settings"),
        ("a.json", "", "is an empty file; give the configuration"),
        ("run.toml", "# tqd_probe 1.0\nsteps = 1\n", "is the options of a run of tqd"),
        ("my_run.json", '{"settings": 1, "inputs": 1, "versions": 1}', "run directory"),
        ("a.yaml", "a: [1\n", "at line 1, column 4: a: [1 ^ expected"),
    ],
)
def test_a_damaged_or_wrong_file_is_named_as_such(tmp_path, name, text, said):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError) as error:
        find_format(path)
    assert str(error.value).startswith(f"{path}: ")
    assert said in str(error.value)
    assert "unicode string" not in str(error.value)


@pytest.mark.parametrize(
    ("trainer", "key"),
    [("simpletuner", "data_backend_config")],
)
def test_the_setting_that_names_a_needed_file_is_named(tmp_path, trainer, key):
    path = tmp_path / "a.json"
    path.write_text("{}")
    with pytest.raises(InputError, match=f"a.json: {key}: not set"):
        FORMATS[trainer].preview(path, None)
