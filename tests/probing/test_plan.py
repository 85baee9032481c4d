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
