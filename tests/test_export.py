from typing import get_args

import pytest
from export_cases import export_case
from probe_runs import fails

from tqd_probe import export

CONFIG = """dataset = 'dataset.toml'
epochs = 9
[model]
type = 'wan'
[adapter]
type = 'lora'
"""


@pytest.fixture
def argv(tmp_path):
    case = export_case(tmp_path)
    (tmp_path / "dataset.toml").write_text("[[directory]]\npath = 'x'\n")
    (tmp_path / "user.toml").write_text(CONFIG)
    words = [str(case.bands), "--to", "diffusion-pipe", "--clips", str(case.clips)]
    return [
        *words,
        "--config",
        str(tmp_path / "user.toml"),
        "--out",
        str(tmp_path / "out"),
    ]


def test_a_schedule_is_exported(argv, tmp_path, capsys):
    assert export.main(argv) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"diffusion-pipe: {tmp_path}/out\n")
    assert text.count("realised") == 3
    assert (tmp_path / "out" / "train.sh").is_file()
    fails(capsys, argv, "--out", "exists and is not empty", main=export.main)


def test_every_writer_has_its_name():
    from tqd_probe.exporting.export import WRITERS

    names = get_args(export.ExportOptions.model_fields["to"].annotation)
    assert list(names) == list(WRITERS)


def test_a_wrong_file_is_called_what_it_is(argv, tmp_path, capsys):
    def refused(at, path, *said):
        fails(capsys, [*argv[:at], str(path), *argv[at + 1 :]], *said, main=export.main)

    musubi = tmp_path / "musubi.toml"
    musubi.write_text("network_module = 'networks.lora_wan'\n")
    said = "give one of diffusion-pipe, or --to musubi"
    refused(6, musubi, "is a configuration of musubi-tuner", said)
    data = tmp_path / "dataset.toml"
    refused(6, data, "a list of data sets", "the configuration of diffusion-pipe")
    refused(0, musubi, f"no band schedule: give {tmp_path / 'bands.json'}")
    refused(4, tmp_path, "is a folder, and classes are needed", "tqd-probe score")
    refused(4, tmp_path / "bands.json", "is a band schedule; give a folder of videos")


def test_faults_are_one_line(argv, tmp_path, capsys):
    fails(capsys, [*argv, "--frames", "17"], "go together", main=export.main)
    (tmp_path / "user.toml").write_text("[model]\ntype = 'hunyuan-video'\n")
    fails(capsys, argv, "user.toml", "Wan alone", main=export.main)
