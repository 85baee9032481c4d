"""The public face: `tqd-probe`, `python -m tqd_probe`, and the names of the package."""

import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest
from child_processes import in_child

import tqd_probe
from tqd_probe.__main__ import COMMANDS, main, options_of

PUBLIC = [
    "BandSchedule",
    "ProbeResult",
    "__version__",
    "compare_gradients",
    "derive_schedule",
    "load_model",
    "make_sampler",
    "per_clip_gradients",
    "probe",
    "train",
    "verify",
]


def python(code):
    """Run a script in a new interpreter; fails where the script does."""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"], ["help"]])
def test_alone_it_lists_the_commands(capsys, monkeypatch, argv):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/tqd-probe"])
    assert main(argv) == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: tqd-probe COMMAND [options]\n")
    for name, line in COMMANDS.items():
        assert f"  {name:<10}{line}\n" in text


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"tqd_probe {tqd_probe.__version__}\n"


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("trian", "did you mean train?"),
        ("gradsims", "did you mean gradsim?"),
        ("zzz", "see tqd-probe --help"),
        ("--ckpt", "see tqd-probe --help"),
    ],
)
def test_an_unknown_command_is_one_line(capsys, monkeypatch, name, cure):
    monkeypatch.setattr(sys, "argv", ["tqd-probe"])
    assert main([name]) == 2
    assert capsys.readouterr().err == f"error: {name}: no such command; {cure}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_are_called_by_name(capsys, monkeypatch, name):
    monkeypatch.setattr(sys, "argv", ["tqd-probe"])
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: tqd-probe {name} ")
    assert f"\nexample:\n  tqd-probe {name} " in text
    assert "\nfiles written:\n" in text
    with pytest.raises(SystemExit):
        main(["help", name])
    assert capsys.readouterr().out == text
    assert main([name, "--nonsense"]) == 2
    line = capsys.readouterr().err
    assert line.startswith("error: ")
    assert line.endswith(f"see tqd-probe {name} --help\n")
    assert line.count("\n") == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_the_module_of_a_command_names_itself(capsys, name):
    from importlib import import_module

    with pytest.raises(SystemExit):
        import_module(f"tqd_probe.{name}").main(["--help"])
    text = capsys.readouterr().out
    assert text.startswith(f"usage: python -m tqd_probe.{name} ")


def test_python_dash_m_names_itself():
    command = [sys.executable, "-m", "tqd_probe", "plot", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: python -m tqd_probe plot RUN_DIR [options]")


def test_examples_are_valid_command_lines(tmp_path):
    from tqd_probe.core.command_line import parse

    for name in COMMANDS:
        options = options_of(name)
        parse(options, options.example.split(), name)


def test_help_needs_no_torch():
    python(
        "import sys\n"
        "from tqd_probe.__main__ import COMMANDS, main\n"
        "for name in COMMANDS:\n"
        "    try: main([name, '--help'])\n"
        "    except SystemExit as ended: assert not ended.code\n"
        "assert 'torch' not in sys.modules\n"
        "assert 'scipy.stats' not in sys.modules\n"
        "assert 'matplotlib' not in sys.modules\n"
    )


def test_the_console_command_is_installed():
    setup = ConfigParser()
    setup.read(Path(tqd_probe.__file__).parent.parent / "setup.cfg")
    scripts = setup["options.entry_points"]["console_scripts"].split()
    assert scripts == ["tqd-probe", "=", "tqd_probe.__main__:main"]


def test_the_package_shows_its_api():
    assert dir(tqd_probe) == PUBLIC
    for name in PUBLIC:
        assert getattr(tqd_probe, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        tqd_probe.trian  # noqa: B018


def freshly_imported(code):
    """Run code in a child process that has imported nothing of the package yet."""

    def work():
        for name in [n for n in sys.modules if n.partition(".")[0] == "tqd_probe"]:
            del sys.modules[name]
        exec(code, {})
        return 7

    assert in_child(work) == 7


def test_functions_keep_their_names_whatever_is_imported_first():
    functions = (
        "import types\n"
        "from tqd_probe import train, verify\n"
        "for each in train, verify:\n"
        "    assert isinstance(each, types.FunctionType), each\n"
        "    assert getattr(tqd_probe, each.__name__) is each\n"
    )
    modules = (
        "import tqd_probe.train, tqd_probe.verify\n"
        "from tqd_probe.train import main\n"
        "assert main.__module__ == 'tqd_probe.train'\n"
        "from tqd_probe.verify import main\n"
        "assert main.__module__ == 'tqd_probe.verify'\n"
    )
    freshly_imported(f"import tqd_probe\n{functions}{modules}{functions}")
    freshly_imported(f"{modules}{functions}{modules}")
