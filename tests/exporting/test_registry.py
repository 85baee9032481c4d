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
