import json

import pytest

from analyses.compare_runs import FILES, main


def write_run(folder, bands, curves):
    folder.mkdir()
    for name, value in zip(FILES, (bands, curves)):
        (folder / name).write_text(json.dumps(value))
    return str(folder)


def value(cosine=0.5, resolved=True, settings="a", **more):
    levels = {"cosine": [cosine, None], "resolved": [resolved], "name": "blur"}
    return {"provenance": {"settings": settings}, "subjects": levels, **more}


@pytest.fixture
def first(tmp_path):
    return write_run(tmp_path / "a", value(), value())


@pytest.mark.parametrize(
    ("changed", "code", "printed"),
    [
        (value(settings="b"), 0, "largest difference 0 at nowhere"),
        (value(cosine=0.5 + 5e-7), 0, "5e-07 at gradsim.json.subjects.cosine.0"),
        (value(cosine=0.51), 1, "0.01 at gradsim.json.subjects.cosine.0"),
        (value(cosine=None), 1, "inf at gradsim.json.subjects.cosine.0"),
        (value(resolved=False), 1, "inf at gradsim.json.subjects.resolved.0"),
        (value(extra=[]), 1, "inf at gradsim.json.extra"),
    ],
)
def test_every_value_counts(first, tmp_path, capsys, changed, code, printed):
    second = write_run(tmp_path / "b", value(), changed)
    assert main([first, second]) == code
    out = capsys.readouterr().out
    assert printed in out
    assert out.startswith("8 values" if "extra" not in changed else "9 values")
    assert main([second, first]) == code


def test_the_tolerance_is_the_user_s(first, tmp_path):
    second = write_run(tmp_path / "b", value(), value(cosine=0.51))
    assert main([first, second, "--tolerance", "0.02"]) == 0


def test_a_missing_file_is_one_line(first, tmp_path, capsys):
    assert main([first, str(tmp_path / "none")]) == 2
    printed = capsys.readouterr().err
    assert "bands.json: no such file" in printed
    assert printed.count("\n") == 1
