"""What tests that probe share: the options of a small run, and what it must leave."""

import json
import os
import shutil
import signal
from pathlib import Path

from tqd_probe import gradsim
from tqd_probe.core.command_line import parse
from tqd_probe.gradients.store import GradientStore
from tqd_probe.probing.run import run_probe

# In the raw metric: no passes for second moments, and sketches compare with the whole.
SMALL = "--num-clips 5 --levels 0.1,0.5,0.9 --degradations blur:4,freeze:5,identity:1"
SMALL += " --metric raw --least-clips 4"
EIGHT = "--num-clips 8 --draws 1 --levels 0.3,0.8 --degradations blur:4,freeze:5"
FIGURES = (
    "similarity_heatmap",
    "norm_ratio_heatmap",
    "module_heatmap",
    "similarity_curves",
    "cross_level_map",
)


def arguments(ckpt, out, extra="", base=SMALL):
    return ["--ckpt", str(ckpt), "--out", str(out), *base.split(), *extra.split()]


def result(out):
    return json.loads((out / "gradsim.json").read_text())


def finished(ckpt, out, base=SMALL, extra=""):
    """Run a probe to its end, without the command's figures; returns its result."""
    argv = arguments(ckpt, out, extra, base)
    run_probe(parse(gradsim.GradsimOptions, argv, "gradsim"), progress=False)
    return result(out)


def results(out):
    return [(out / name).read_bytes() for name in ("bands.json", "gradsim.json")]


def numbers(value):
    """All floats of a result, in order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [x for part in value for x in numbers(part)]
    return [value] if isinstance(value, float) else []


def copy_of(run, tmp_path):
    """A copy of a shared run that a test may change."""
    return Path(shutil.copytree(run, tmp_path / "run"))


def fails(capsys, argv, *parts, main=gradsim.main):
    """The command ends with exit code 2 and one line that holds all parts."""
    capsys.readouterr()
    assert main(argv) == 2
    printed = capsys.readouterr().err
    line = printed[printed.index("error: ") :].strip()
    assert "\n" not in line, line
    assert "Traceback" not in printed
    for part in parts:
        assert part in line, line


def kill_at_draw(monkeypatch, number):
    """Kill this process when it has a draw of a given number, from 1; writes each."""
    monkeypatch.setattr("tqd_probe.gradients.draws.WRITE_AFTER", 0.0)
    monkeypatch.setattr("tqd_probe.gradients.draws.WRITE_RATE", float("inf"))
    write, count = GradientStore.put_draw, [0]

    def counted(self, *values, **more):
        count[0] += 1
        if count[0] == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return write(self, *values, **more)

    monkeypatch.setattr(GradientStore, "put_draw", counted)
