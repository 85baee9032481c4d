from probe_runs import arguments, fails

from tqd_probe import gradsim


def test_self_check_passes_and_its_failure_writes_no_schedule(
    pipeline, tmp_path, capsys, monkeypatch
):
    argv = arguments(pipeline, tmp_path / "s", "--self-check")
    assert gradsim.main(argv) == 0
    assert "self-check passed" in capsys.readouterr().err
    from tqd_probe.gradients import zero_leaves

    right = zero_leaves.outer_products
    monkeypatch.setattr(
        zero_leaves,
        "outer_products",
        lambda left, x, out=None: right(left, x, out).mul_(1.01),
    )
    argv = arguments(pipeline, tmp_path / "t", "--self-check")
    fails(capsys, argv, "--self-check: engine and torch.func disagree")
    assert not (tmp_path / "t" / "bands.json").exists()
