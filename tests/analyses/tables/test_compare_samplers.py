"""The comparison of samplers, from start to end."""

import json

import pytest


@pytest.mark.long
def test_tables_run_from_start_to_end_and_resume(tmp_path, monkeypatch, capsys):
    from analyses.tables import compare_samplers
    from tqd_probe.core.errors import InputError

    worth = tmp_path / "worth.json"
    point = {
        "predicted": {"cosine": 0.9},
        "used": True,
        "achieved": {"share of golden gain": 0.5},
    }
    gains = {"levels": [0.5], "golden_gain": [[0.1, 0.0, 0.2]]}
    worth.write_text(json.dumps({"points": [point], **gains}))
    options = {
        "start": "tiny",
        "sets": "B",
        "only": "gate by worth",
        "golden": 2,
        "visual": 2,
        "motion": 2,
        "steps": 2,
        "batch-size": 2,
        "seeds": 1,
        "held-out": 2,
        "generated": 2,
        "sample-steps": 1,
        "validations": 1,
        "probe-clips": 4,
        "probe-draws": 1,
        "probe-levels": 2,
        "worth": worth,
        "work": tmp_path / "work",
        "results": tmp_path / "out.json",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    command = ["compare_samplers.py", *map(str, words)]
    monkeypatch.setattr("sys.argv", command)
    compare_samplers.main()
    first = json.loads((tmp_path / "out.json").read_text())
    assert [row["sampler"] for row in first["rows"]] == ["uniform", "gate by worth"]
    assert "Set-B" in capsys.readouterr().out
    monkeypatch.setattr(compare_samplers, "train", None)  # nothing is trained twice
    compare_samplers.main()
    assert json.loads((tmp_path / "out.json").read_text())["rows"] == first["rows"]
    worth.write_text("{")
    with pytest.raises(InputError, match=str(worth)):
        compare_samplers.main()
