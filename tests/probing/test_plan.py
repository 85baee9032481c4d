from probe_runs import arguments

from tqd_probe import gradsim


def test_plan_predicts_clips_and_time(pipeline, tmp_path, capsys):
    argv = arguments(pipeline, tmp_path / "p", "--plan --plan-width 0.2")
    assert gradsim.main(argv) == 0
    printed = capsys.readouterr().out
    assert "clips for cosine intervals of width 0.2" in printed
    assert "min)" in printed
    assert "widths: where single runs with 2 draws" in printed
    assert not (tmp_path / "p").exists()


def test_fewer_clips_than_a_pilot_takes_are_planned_with(
    pipeline, folder_of_clips, tmp_path, capsys
):
    """Defaults do not refuse each other: a pilot takes at most 32 clips."""
    argv = ["--ckpt", str(pipeline), "--clips", str(folder_of_clips), "--plan"]
    argv += ["--levels", "0.5,0.9", "--degradations", "blur:4", "--least-clips", "4"]
    assert gradsim.main([*argv, "--out", str(tmp_path / "p")]) == 0
    assert "pilot: 6 clips x 2 draws" in capsys.readouterr().out
