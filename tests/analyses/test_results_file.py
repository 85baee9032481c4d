"""Results files state how they were made."""

import json
from pathlib import Path

import pytest

from analyses.results_file import command_of, run_script, study_parser, write_results
from tqd_probe.core.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def parser():
    """The command line of a study."""
    made = study_parser(str(ROOT / "analyses" / "tiny" / "maturity.py"), "What for.")
    made.add_argument("run", type=Path)
    made.add_argument("--ckpt", default="tiny")
    made.add_argument("--levels", default="0.1,0.9")
    made.add_argument("--work", type=Path)
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--one-draw", action="store_true")
    made.add_argument("--only", default="")
    return made


def test_command_names_options_but_no_place_of_one_machine(parser):
    args = parser.parse_args(["/home/me/run", "--work", "/tmp/x", "--ckpt", "/a/b/wan"])
    assert command_of(parser, args) == (
        "python -m analyses.tiny.maturity RUN --ckpt wan --levels 0.1,0.9 --work WORK"
        " --seed 0"
    )
    args = parser.parse_args(["run", "--one-draw", "--only", "a b", "--seed", "3"])
    assert command_of(parser, args).endswith("--seed 3 --one-draw --only 'a b'")


def test_results_lie_beside_the_script_under_its_name(parser):
    results = parser.parse_args(["run"]).results
    assert results == ROOT / "analyses" / "tiny" / "results" / "maturity.json"
    assert results.is_file()


def test_results_hold_command_machine_and_versions(parser, tmp_path, capsys):
    path = tmp_path / "found.json"
    args = parser.parse_args(["run", "--results", str(path)])
    write_results(parser, args, {"rows": [1, 2]})
    found = json.loads(path.read_text())
    assert list(found) == ["command", "machine", "versions", "rows"]
    assert found["versions"]["torch"]
    assert found["machine"]["threads"] >= 1
    assert capsys.readouterr().out.strip() == str(path)


def test_an_error_a_user_can_cure_is_one_line_and_exit_code_2(capsys):
    def main():
        raise InputError("--work x: no such folder")

    with pytest.raises(SystemExit) as ended:
        run_script(main)
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: --work x: no such folder\n"
