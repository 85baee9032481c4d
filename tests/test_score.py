import csv
import json

import pytest

from tqd_probe.score import main


def fault(capsys, *argv):
    assert main(list(argv)) == 2
    err = capsys.readouterr().err.strip().splitlines()[-1]
    assert err.startswith("error: ")
    assert "Traceback" not in err
    return err


def test_clips_end_to_end(folder_of_clips, tmp_path, capsys):
    out = tmp_path / "scores.csv"
    argv = ["--clips", str(folder_of_clips), "--out", str(out), "--workers", "0"]
    assert main(argv) == 0
    text = capsys.readouterr().out
    assert "proxies" in text
    assert "golden" in text
    assert str(out) in text
    with open(out, newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 6
    for row in rows:
        assert 0 <= float(row["mq"]) <= 1
        assert set(json.loads(row["components"])) == {
            "flow",
            "turning",
            "duplicates",
            "detail",
            "noise",
            "blocks",
            "contrast",
        }
    summary = json.loads((tmp_path / "scores.summary.json").read_text())
    assert summary["normalisation"] == "quantile"
    assert summary["scoring"]["scorer"] == "weight-free proxies, not a model's scores"
    before = out.read_bytes()
    assert main(argv) == 0
    assert out.read_bytes() == before
    assert main([*argv, "--normalise", "none", "--mq-min", "q0.9"]) == 0
    assert "none" in capsys.readouterr().out


def test_published_file_end_to_end(tmp_path, capsys):
    path, out = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_text("path,prompt,reward_VQ,reward_MQ\na.mp4,x,4.0,1\nb.mp4,y,3.0,2\n")
    assert main(["--from", str(path), "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "videoalign: mq from 'reward_MQ'" in text
    assert "scale: raw" in text
    assert "50.0%" in text
    assert out.read_text().startswith(
        "video,mq,vq,mq_raw,vq_raw,components,class,caption"
    )


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        (["--out", "o.csv"], "--clips"),
        (["--clips", "v", "--from", "f.csv", "--out", "o.csv"], "either"),
        (["--from", "absent.csv", "--out", "o.csv"], "no such file"),
        (["--from", "absent.xlsx", "--out", "o.csv"], "no such file"),
        (["--clips", "absent", "--out", "o.csv"], "no such folder"),
        (["--clips", "synthetic:2", "--out", "o.txt"], "suffix"),
        (["--clips", "synthetic:2", "--out", "o.csv", "--mq-min", "7"], "q0.7"),
        (["--clips", "synthetic:2", "--out", "o.csv", "--shard-size", "8"], "ray"),
        (["--clips", "synthetic:2", "--out", "o.csv", "--device", "cpu"], "videoalign"),
        (["--clips", "synthetic:2", "--out", "o.csv", "--scale", "raw"], "--from"),
        (["--from", "x.csv", "--out", "o.csv", "--fps", "8"], "--clips"),
        (["--clips", "v", "--out", "o.csv", "--scorer", "videoalign"], "--weights"),
        (["--clips", "v", "--out", "o.csv", "--engine", "spark"], "engine"),
        (["--clips", "v", "--out", "o.csv", "--min-scene", "2"], "--cuts split"),
        (
            [
                "--clips",
                "v",
                "--out",
                "o.csv",
                "--scorer",
                "videoalign",
                "--weights",
                "w",
                "--frames",
                "8",
            ],
            "--scorer proxies",
        ),
        (["--clips", "v", "--out", "o.csv", "--wat", "1"], "wat"),
    ],
)
def test_bad_command_lines(argv, part, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert part in fault(capsys, *argv)
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".csv"]


def test_help_teaches(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for word in ("VideoAlign", "resumes", "quantile", "--engine", "proxies", "--from"):
        assert word in text
