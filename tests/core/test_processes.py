"""Processes that share one run, and what two of them leave."""

import contextlib
import json
import sys
import traceback

import numpy as np
import pytest
from accelerate.commands.launch import launch_command, launch_command_parser
from accelerate.state import AcceleratorState
from child_processes import in_child, in_two_processes
from probe_runs import arguments, numbers, result
from torch.distributed import run as distributed_run

from tqd_probe import gradsim
from tqd_probe.core.errors import InputError, MainProcessFailed
from tqd_probe.core.processes import Processes, is_main_process
from tqd_probe.core.tensor_files import read_tensors


def test_a_lone_process_joins_nothing(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    alone = Processes.join("cpu")
    assert alone == Processes(rank=0, world=1)
    assert alone.is_main
    assert is_main_process()
    assert alone.device("cuda") == "cuda"
    assert alone.broadcast_from_main(lambda: [1]) == [1]
    assert alone.largest(7) == 7
    alone.barrier()


def test_work_is_shared_without_gaps(monkeypatch):
    three = [Processes(rank, 3) for rank in range(3)]
    owners = [[each.rank for each in three if each.owns(n)] for n in range(7)]
    assert owners == [[0], [1], [2], [0], [1], [2], [0]]
    monkeypatch.setenv("LOCAL_RANK", "2")
    assert three[2].device("cuda") == "cuda:2"
    assert three[2].device("cpu") == "cpu"
    assert [each.is_main for each in three] == [True, False, False]


@pytest.mark.two_processes
def test_the_main_process_decides_for_all(tmp_path):
    """Plain values reach the others; so does the message of a failure."""

    def work():
        mine = Processes.join("cpu")
        assert mine.broadcast_from_main(lambda: {"size": 3}) == {"size": 3}
        kept = mine.broadcast_from_main(lambda: (1, 2))
        assert kept == ((1, 2) if mine.is_main else None)
        with pytest.raises(InputError if mine.is_main else MainProcessFailed) as error:
            mine.broadcast_from_main(refuse)
        assert str(error.value) == "--clips x: no such folder"
        assert mine.largest(3 + mine.rank) == 4
        mine.barrier()

    def refuse():
        raise InputError("--clips x: no such folder")

    assert in_two_processes(work) == [0, 0]


def end_with_code(*argv):
    """Run the command as `python -m` does, in a process that has joined nothing yet."""
    AcceleratorState._reset_state(True)
    sys.exit(gradsim.main(list(argv)))


def launch(argv, printed):
    """Run `accelerate launch` in a child.

    Its two processes are forked from it, with torch and diffusers loaded, where the
    command starts `python -m`; all else is what the launcher does.
    """
    options = ["--multi_gpu", "--num_processes", "2"]  # also on CPUs
    options += ["--num_machines", "1"]
    options += ["--mixed_precision", "no", "--dynamo_backend", "no"]
    options += ["--main_process_port", "0", "-m", "tqd_probe.gradsim", *argv]

    configure = distributed_run.config_from_args

    def forked(args):
        config, _, _ = configure(args)
        config.start_method = "fork"
        return config, end_with_code, argv

    def start():
        distributed_run.config_from_args = forked  # of this child alone
        try:
            launch_command(launch_command_parser().parse_args(options))
        except BaseException:
            traceback.print_exc()
            return 1
        return 0

    return in_child(start, printed)


@pytest.mark.long
@pytest.mark.two_processes
def test_two_processes_of_the_command_equal_one(sketched_run, pipeline, tmp_path):
    out, extra = tmp_path / "two", "--sketch 8192 --self-check"
    printed = tmp_path / "printed.txt"
    code = launch(arguments(pipeline, out, extra), printed)
    assert code == 0, printed.read_text()[-3000:]
    assert printed.read_text().count("edges of use") == 1
    a, b = numbers(result(sketched_run)), numbers(result(out))
    assert len(a) == len(b) > 100
    np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)
    paths = list((sketched_run / "gradients").glob("*.safetensors"))
    assert len(paths) == 4
    for path in paths:
        place = json.loads((sketched_run / "gradients" / "store.json").read_text())
        where = () if path.stem == "moments" else (int(path.stem[-2:]),)
        known, found = (
            read_tensors(p, f"{place['fingerprint']} {where}")
            for p in (path, out / "gradients" / path.name)
        )
        assert set(known) == set(found)
        for name, value in known.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-7)
    assert json.loads((out / "cost.json").read_text())["predicted"]["processes"] == 2
    # One process goes on with what two have begun, and the other way round.
    for path in (out / "gradients").glob("*-01.safetensors"):
        path.unlink()
    assert gradsim.main(arguments(pipeline, out, extra)) == 0
    np.testing.assert_allclose(numbers(result(out)), a, rtol=1e-6, atol=1e-9)


@pytest.mark.two_processes
def test_bad_input_of_two_processes_is_said_once(sketched_run, pipeline, tmp_path):
    argv, printed = arguments(pipeline, sketched_run, "--sketch 4096"), tmp_path / "err"

    def refused():
        with open(printed, "a") as handle, contextlib.redirect_stderr(handle):
            return gradsim.main(argv)

    assert in_two_processes(refused) == [2, 2]
    said = printed.read_text()
    assert said.count("error: --out") == 1
    assert "--sketch was 8192, now 4096" in said
