import json
import subprocess
import sys

import pytest
from band_schedules import VERSION_2
from probe_runs import fails

from tqd_probe import preview

CONFIG = """[model]
type = 'wan'
timestep_sample_method = 'uniform'
shift = 3
min_t = 0.6
max_t = 0.9
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "train.toml"
    path.write_text(CONFIG)
    return path


def test_a_configuration_is_shown_beside_a_schedule(config, tmp_path, capsys):
    bands, figure = tmp_path / "bands.json", tmp_path / "figure.png"
    bands.write_text(json.dumps(VERSION_2))
    argv = [str(config), "--schedule", str(bands), "--out", str(figure)]
    assert preview.main(argv) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"diffusion-pipe: {config}\n")
    assert "uniform, shift 3, cut to 0.6-0.9" in text
    # u of 0.6, 0.72 and 0.9 is 1/3, 6/13 and 3/4
    share = 100 * (0.75 - 6 / 13) / (0.75 - 1 / 3)
    assert f"visual_degraded        {share:.1f}   {100 - share:.1f}    0.0" in text
    assert text.endswith(f"{figure}\n")
    assert figure.is_file()


def test_every_trainer_has_its_name():
    from typing import get_args

    from tqd_probe.exporting.registry import FORMATS

    assert list(get_args(preview.TrainerName)) == list(FORMATS)


def test_it_starts_without_torch(config):
    code = (
        "import sys\nfrom tqd_probe.preview import main\n"
        f"assert main([{str(config)!r}]) == 0\n"
        "assert not {'torch', 'matplotlib', 'pandas'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_an_ascii_terminal_is_drawn_in_ascii(config, monkeypatch):
    import io

    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    assert preview.main([str(config)]) == 0
    stream.flush()
    text = stream.buffer.getvalue().decode("ascii")
    assert "  =====+++++***%%%##\n" in text  # rises from 0.6 to 0.9
    assert "\\u" not in text


def test_a_file_of_another_trainer_is_refused(config, tmp_path, capsys):
    config.write_text(f"dataset = 'data.toml'\n{CONFIG}")
    argv = [str(config), "--trainer", "musubi"]
    said = "is a configuration of diffusion-pipe; give one of musubi-tuner"
    fails(capsys, argv, said, main=preview.main)
    bands = tmp_path / "bands.json"
    bands.write_text(json.dumps(VERSION_2))
    said = "is a band schedule; give the configuration or launch script of a trainer"
    fails(capsys, [str(bands)], said, main=preview.main)


def test_faults_are_one_line(config, tmp_path, capsys):
    fails(capsys, [str(tmp_path / "x.toml")], "x.toml: no such file", main=preview.main)
    fails(capsys, [str(config), "--frames", "17"], "go together", main=preview.main)
    config.write_text("[model\n")
    fails(capsys, [str(config)], "train.toml: cannot be read", main=preview.main)


def test_a_figure_replaces_nothing_that_is_read(config, tmp_path, capsys):
    bands = tmp_path / "bands.json"
    bands.write_text(json.dumps(VERSION_2))
    argv = [str(config), "--schedule", str(bands), "--out"]
    for out, fault in ((bands, "PNG file"), (config, "PNG file"), (tmp_path, "PNG")):
        fails(capsys, [*argv, str(out)], f"--out {out}: ", fault, main=preview.main)
    image = tmp_path / "train.png"
    image.write_text(CONFIG)
    argv = [str(image), "--out", str(image)]
    fails(capsys, argv, "is read as well", main=preview.main)
    assert config.read_text() == CONFIG
