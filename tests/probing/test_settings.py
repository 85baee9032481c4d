"""Options that cannot be met end in one line, and nothing is written."""

import pytest
from probe_runs import EIGHT, arguments, fails


@pytest.mark.parametrize(
    ("extra", "parts"),
    [
        ("--degradations fog:3", ("--degradations", "'fog'", "blur")),
        ("--degradations blur:6", ("--degradations", "blur:6", "1..5")),
        ("--degradations blur", ("--degradations", "severity is missing")),
        ("--levels 0.5,0.1", ("--levels", "does not rise")),
        ("--levels 0,0.5", ("--levels", "outside (0, 1)")),
        ("--levels 0.5,1", ("--levels", "outside (0, 1)")),
        ("--levels 0.5,nan", ("--levels", "outside (0, 1)")),
        ("--levels a,b", ("--levels", "not a list of numbers")),
        ("--levels 0", ("--levels", "0 levels")),
        ("--num-clips 3", ("--num-clips 3", "greater than or equal to 4")),
        ("--draws 0", ("--draws 0", "greater than or equal to 1")),
        ("--draws two", ("--draws two", "valid integer")),
        ("--shift nan", ("--shift", "")),
        ("--norm-range 2,1", ("--norm-range", "low < high")),
        ("--confidence 1", ("--confidence", "less than or equal to 0.9999")),
        ("--sketch 64", ("--sketch 64", "module groups", "exact")),
        ("--sketch half", ("--sketch", "exact", "49152")),
        ("--params (", ("--params (", "not a regular expression")),
        ("--params zzz", ("--params zzz", "matches no parameter")),
        ("--frames 6", ("--frames 6", "multiple of 4 plus 1")),
        ("--frames 1", ("--frames 1", "no motion", "--degradations")),
        ("--height 40", ("--height 40", "multiples of 16")),
        ("--device warp", ("--device warp", "not available")),
        ("--ckpt none", ("--ckpt none", "no such directory")),
        ("--clips none", ("none", "no such folder or file")),
        ("--clips synthetic:3 --num-clips 4", ("synthetic:3",)),
        ("--unknown 3", ("unrecognized arguments: --unknown 3",)),
    ],
)
def test_bad_options(pipeline, tmp_path, capsys, extra, parts):
    out = tmp_path / "bad"
    fails(capsys, arguments(pipeline, out, extra), *parts)
    assert not out.exists()


def test_mixture_options_need_the_criterion(pipeline, tmp_path, capsys):
    base = ["--ckpt", str(pipeline), "--out", str(tmp_path / "x")]
    fails(capsys, [*base, "--floor", "0.1"], "--floor needs --criterion mixture")
    mixture = [*base, "--criterion", "mixture"]
    fails(capsys, [*mixture, "--pool", "golden=0"], "--pool", "golden has no clips")
    fails(capsys, [*mixture, "--pool", "gold=3"], "--pool", "'gold' is no class")
    fails(capsys, [*mixture, "--pool", "golden=x"], "--pool", "no whole number")
    few = [*mixture, *EIGHT.split(), "--pool", "golden=3,visual_degraded=5"]
    fails(capsys, few, "--pool: motion_degraded is missing")
    assert not (tmp_path / "x" / "log.txt").exists()  # refused before the work
    fails(capsys, [*base, "--mq-min", "0.5"], "--mq-min and --vq-min go together")
    state = [*base, "--adam-state", "x", "--metric", "raw"]
    fails(capsys, state, "--adam-state needs --metric adam or fisher")
    fails(capsys, [*base, "--match-severity", "blur"], "--match-severity", "severity")
