import pytest
from export_cases import export_case

from tqd_probe.core.errors import InputError
from tqd_probe.exporting.export import WRITERS, export_text
from tqd_probe.exporting.registry import FORMATS

CONFIG = """output_dir = 'runs'
dataset = 'dataset.toml'
epochs = 9
[model]
type = 'wan'
timestep_sample_method = 'uniform'
[adapter]
type = 'lora'
"""


@pytest.fixture
def config(tmp_path):
    (tmp_path / "dataset.toml").write_text("[[directory]]\npath = 'x'\n")
    path = tmp_path / "user.toml"
    path.write_text(CONFIG)
    return path


def test_the_text_shows_what_is_realised(tmp_path, config):
    done = export_case(tmp_path).export("diffusion-pipe", config)
    lines = export_text(done).splitlines()
    assert lines[0] == f"diffusion-pipe: {tmp_path / 'out'}"
    name, *numbers = lines[5].split()
    assert (name, numbers[:3]) == ("visual_degraded", ["3", "33.3", "wanted"])
    assert numbers[3:] == ["0.0"] * 5 + ["20.0"] * 5
    assert lines[6].split()[:2] == ["realised", "0.0"]
    assert float(lines[6].split()[-1]) < 0.001
    assert lines[-1].startswith("1. bash ")


def test_nothing_is_overwritten_and_nothing_half_written(tmp_path, config):
    case = export_case(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"--out .*: exists and is not empty"):
        case.export("diffusion-pipe", config)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]
    with pytest.raises(InputError, match=r"--out .*: holds a NUL character"):
        case.export("diffusion-pipe", config, out="a\0b")
    with pytest.raises(InputError, match=r"--out .*: is a file; choose a folder"):
        case.export("diffusion-pipe", config, out="out/mine.txt")
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
    (tmp_path / "dataset.toml").unlink()
    before = {path.name for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match=r"dataset.toml: no such file"):
        case.export("diffusion-pipe", config, out="other")
    assert {path.name for path in tmp_path.iterdir()} == before


def test_every_trainer_that_can_carry_bands_has_a_writer():
    assert set(FORMATS) - set(WRITERS) == {"fastvideo", "tqd-probe"}


def test_other_names_are_refused(tmp_path, config):
    with pytest.raises(InputError, match="--to fastvideo: choose from diffsynth"):
        export_case(tmp_path).export("fastvideo", config)
