"""Probes whose weights are brought to the device block by block."""

from probe_runs import SMALL, arguments, fails, finished, result

from tqd_probe.models.placement import OffloadedBlock


def test_an_offloaded_probe_ends_with_the_same_result(
    probe_run, pipeline, tmp_path, monkeypatch
):
    fetch, count = OffloadedBlock.fetch, [0]

    def counted(self):
        count[0] += 1
        fetch(self)

    monkeypatch.setattr(OffloadedBlock, "fetch", counted)
    found = finished(pipeline, tmp_path / "run", SMALL, "--offload --device cpu")
    expected = result(probe_run)
    passes = found["cost"]["passes"]
    assert count[0] >= 2 * 2 * passes  # two blocks, forward and computed anew
    for value in (found, expected):
        value.pop("provenance")
    assert found == expected


def test_options_that_keep_weights_on_the_device_are_refused(
    pipeline, tmp_path, capsys
):
    for extra, shown in (
        ("--checkpointing off", "--offload: without gradient checkpointing"),
        ("--compile on", "--compile on: compiled blocks cannot be offloaded"),
    ):
        argv = arguments(pipeline, tmp_path / "run", f"--offload {extra}")
        fails(capsys, argv, shown)
    assert not (tmp_path / "run").exists()
