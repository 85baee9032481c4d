"""Every script of the studies and figures can be imported, and says what it is for."""

import importlib
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Libraries that some studies compare with (extra `peers`); none is a dependency.
PEERS = {"analyses.scoring.scene_cuts": "scenedetect"}


def modules():
    """Return the names of all modules of `analyses` and `figures`."""
    paths = [*ROOT.glob("analyses/**/*.py"), *ROOT.glob("figures/*.py")]
    names = [path.relative_to(ROOT).with_suffix("").parts for path in sorted(paths)]
    return [".".join(parts) for parts in names]


@pytest.mark.parametrize("name", modules())
def test_module_is_imported_and_its_help_is_its_docstring(name, monkeypatch, capsys):
    if name in PEERS:
        pytest.importorskip(PEERS[name])
    module = importlib.import_module(name)
    assert module.__doc__
    if not hasattr(module, "main"):
        return
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: python -m {name} ")
    assert module.__doc__.strip().splitlines()[0] in shown


def test_a_script_is_run_as_a_module(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["run_all", "--list", "--only", "figure"])
    monkeypatch.delitem(sys.modules, "analyses.run_all", raising=False)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("analyses.run_all", run_name="__main__")
    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines
    assert all("python -m figures." in line for line in lines)
