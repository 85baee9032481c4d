import errno
import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import ClassVar, Literal

import pytest
import torch
from pydantic import Field, model_validator

from tqd_probe.core.command_line import Options, main_guard, parse
from tqd_probe.core.errors import GradientError, InputError
from tqd_probe.core.shared_settings import Settings


class Place(Settings):
    """Where."""

    heading: ClassVar[str] = "place"

    out: Path = Field(description="folder of all that is written")
    keep: bool = Field(default=True, description="keep what is there")


class Amount(Settings):
    """How much."""

    heading: ClassVar[str] = "amount"

    clips: int = Field(default=3, ge=1, description="clips, 100% of them")
    share: float | None = Field(default=None, description="share (default: all)")
    mode: Literal["fast", "slow"] = Field(default="fast", description="how")
    from_: str | None = Field(default=None, alias="from", description="source")
    dry: bool = Field(default=False, description="write nothing")

    @model_validator(mode="after")
    def _slow_alone(self):
        if self.dry and self.mode == "slow":
            raise ValueError("--dry needs --mode fast")
        return self


class Example(Place, Amount, Options):
    """Do something."""

    writes: ClassVar[dict[str, str]] = {"table.csv": "numbers"}
    example: ClassVar[str] = "--out x"
    appendix: ClassVar[str] = "amounts:\nmany"


def refused(*argv):
    with pytest.raises(InputError) as caught:
        parse(Example, list(argv), "tool")
    text = str(caught.value)
    assert text.endswith("; see tool --help")
    return text.removesuffix("; see tool --help")


def test_options_become_fields():
    argv = ["--out", "a", "--clips=4", "--share", "0.5", "--from", "b", "--no-keep"]
    found = parse(Example, argv, "tool")
    assert (found.out, found.clips, found.share) == (Path("a"), 4, 0.5)
    assert (found.from_, found.keep, found.dry) == ("b", False, False)


def test_the_environment_is_not_read(monkeypatch):
    monkeypatch.setenv("CLIPS", "9")
    assert parse(Example, ["--out", "a"], "tool").clips == 3


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        ("--clips 4", "--out is required"),
        ("--out=", "--out: is empty; give a value, or leave it out"),
        ("--out a --from=", "--from: is empty; give a value, or leave it out"),
        ("--out a --clips 0", "--clips 0: input should be greater than or equal to 1"),
        ("--out a --clips x", "--clips x: input should be a valid integer"),
        ("--out a --mode quick", "--mode"),
        ("--out a --dry --mode slow", "--dry needs --mode fast"),
        ("--out a --clip 3", "unrecognized arguments: --clip 3; did you mean --clips?"),
        ("--out a --zebra", "unrecognized arguments: --zebra"),
        ("--out a --from- b", "unrecognized arguments: --from- b"),
        ("--out a --share nan", "--share nan"),
        ("--out", "argument --out: expected one argument"),
    ],
)
def test_a_faulty_command_line_is_one_line(argv, shown):
    text = refused(*argv.split())
    assert text.startswith(shown)
    assert "\n" not in text


def test_all_missing_options_are_named():
    class Two(Example):
        """Do something."""

        other: int = Field(description="another")

    with pytest.raises(InputError, match=r"^--out, --other are required; see"):
        parse(Two, [], "tool")


def shown_help(capsys, options=Example):
    with pytest.raises(SystemExit) as ended:
        parse(options, ["--help"], "tool")
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_help_stands_under_headings_in_the_order_of_the_bases(capsys):
    text = shown_help(capsys)
    lines = text.splitlines()
    assert lines[0] == "usage: tool --out PATH [options]"
    assert "Do something." in text
    titles = [line for line in lines if line.endswith(":") and line[0] != " "]
    expected = ["place:", "amount:", "help:", "files written:", "example:", "amounts:"]
    assert titles == expected
    assert "  tool --out x" in lines
    flags = [line.split()[0] for line in lines if line.startswith("  --")]
    assert flags == [
        "--out",
        "--[no-]keep",
        "--clips",
        "--share",
        "--mode",
        "--from",
        "--dry",
        "--config",
        "--version",
    ]


def test_help_has_plain_words_and_defaults(capsys):
    text = shown_help(capsys)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for line in (
        "--out PATH folder of all that is written (required)",
        "--clips INT clips, 100% of them (default: 3)",
        "--share FLOAT share (default: all)",
        "--mode {fast,slow} how (default: fast)",
        "--from TEXT source",
        "--dry write nothing",
        "--[no-]keep keep what is there (default: on)",
    ):
        assert line in lines
    for leak in ("None", "factory", "--from-", "lambda", "\xa0"):
        assert leak not in text


def test_version(capsys):
    with pytest.raises(SystemExit) as ended:
        parse(Example, ["--version"], "tool")
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("tqd_probe 0.")


@pytest.mark.parametrize(
    ("error", "code", "shown"),
    [
        (InputError("clip: torn; mend it"), 2, "error: clip: torn; mend it"),
        (
            OSError(errno.ENOSPC, "No space left on device", "a/b"),
            2,
            "error: a/b: no space left on device; free disk space, then run it again",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "a/b"),
            2,
            "error: a/b: permission denied; change its permissions, or choose another"
            " place",
        ),
        (
            BrokenPipeError(errno.EPIPE, "Broken pipe"),  # of a worker, not of stdout
            2,
            "error: a file or connection: broken pipe; check that place, then run it"
            " again",
        ),
        (MemoryError(), 2, "error: out of memory; end other programs, or ask for less"),
        (
            torch.OutOfMemoryError(
                "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total"
                " capacity of 79.11 GiB.\nSee documentation"
            ),
            2,
            "error: out of memory (CUDA out of memory. Tried to allocate 2.50 GiB); end"
            " other programs, or ask for less: smaller clips or batches; gradsim, train"
            " and verify also with --checkpointing on, --dtype bf16, --quantise or"
            " --offload",
        ),
        (KeyboardInterrupt(), 130, "stopped"),
    ],
)
def test_errors_are_one_line_and_an_exit_code(capsys, error, code, shown):
    with main_guard() as outcome:
        raise error
    assert outcome.code == code
    assert capsys.readouterr().err == f"{shown}\n"


def test_a_fault_of_the_program_is_not_hidden():
    with pytest.raises(ZeroDivisionError), main_guard():
        1 / 0  # noqa: B018
    with pytest.raises(RuntimeError, match="sizes"), main_guard():
        raise RuntimeError("sizes do not match")


@pytest.mark.parametrize(
    ("resumes", "said"),
    [
        (True, "; the same command resumes"),
        (False, ""),
        (lambda: True, "; the same command resumes"),
        (
            lambda: False,
            " before there was anything to resume; the same command starts anew",
        ),
    ],
)
def test_sigterm_says_whether_the_same_command_resumes(capsys, resumes, said):
    before = signal.getsignal(signal.SIGTERM)
    with main_guard() as outcome:
        outcome.resumes = resumes
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
    assert outcome.code == 143
    assert capsys.readouterr().err == f"stopped by SIGTERM{said}\n"
    assert signal.getsignal(signal.SIGTERM) is before


def test_one_process_of_several_reports_bad_input(capsys, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    with main_guard() as outcome:
        raise InputError("bad")
    assert outcome.code == 2
    assert capsys.readouterr().err == ""
    with main_guard():
        raise GradientError("loss of clip c3 is nan")  # met by this process alone
    assert "c3" in capsys.readouterr().err


def test_a_pipe_that_closes_early_is_no_error():
    code = (
        "from tqd_probe.core.command_line import main_guard\n"
        "with main_guard() as outcome:\n"
        "    for _ in range(100000): print('x' * 80)\n"
        "raise SystemExit(outcome.code)\n"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=-1, stderr=-1) as child:
        child.stdout.readline()
        child.stdout.close()
        said = child.stderr.read()
    assert (child.returncode, said) == (141, b"")


def test_the_home_directory_is_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    options = parse(Example, ["--out=~/runs", "--from", "bands=~/b.json,~/c"], "tool")
    assert options.out == tmp_path / "runs"
    assert options.from_ == f"bands={tmp_path}/b.json,{tmp_path}/c"
    kept = parse(Example, ["--out=a~/b", "--from", "x~/y"], "tool")
    assert (str(kept.out), kept.from_) == ("a~/b", "x~/y")


def test_an_argument_that_is_no_text_is_refused():
    odd = os.fsdecode(b"caf\xe9")
    with pytest.raises(InputError, match=r"^caf\\xe9: is not UTF-8, and run direct"):
        parse(Example, ["--out", odd], "tool")


def test_an_ascii_terminal_shows_other_characters_by_their_number(monkeypatch):
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(io.BytesIO(), "ascii"))
    with main_guard():
        print("caf\xe9", flush=True)
        raise InputError("caf\xe9: no such file")
    assert sys.stdout.buffer.getvalue() == b"caf\\xe9\n"
    assert sys.stderr.buffer.getvalue() == b"error: caf\\xe9: no such file\n"
