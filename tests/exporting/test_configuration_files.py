import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.exporting.configuration_files import (
    find_beside,
    get_number,
    get_positive,
    get_table,
    get_whole,
    parse_options,
    read_commands,
    read_configuration,
    split_commands,
)


def test_three_kinds_of_tables_are_read(tmp_path):
    texts = {
        "a.toml": "[model]\nshift = 3.0\n",
        "a.yaml": "model:\n  shift: 3.0\n",
        "a.json": '{"model": {"shift": 3.0}}',
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        assert read_configuration(tmp_path / name) == {"model": {"shift": 3.0}}


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("a.toml", "[model", "cannot be read"),
        ("a.yaml", "a: 1\na: 2\n", "key 'a' stands twice"),
        ("a.yaml", "- 1\n- 2\n", "no table of settings"),
        ("a.json", '{"a": ', "cannot be read"),
        ("a.ini", "a = 1", "a configuration is one of .toml"),
    ],
)
def test_damaged_files_are_one_line(tmp_path, name, text, fault):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=fault) as caught:
        read_configuration(tmp_path / name)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="no such file"):
        read_configuration(tmp_path / "missing.toml")
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is not UTF-16"):
        read_configuration(tmp_path / "b.toml")


def test_commands_of_a_script(tmp_path):
    path = tmp_path / "train.sh"
    path.write_text(
        "#!/bin/bash\n# accelerate launch train.py --shift 9\ncd here && python"
        " x/train.py --lr 1e-4 \\\n  --name 'two words' --fp8 --shift=3\n"
        "python other.py --shift 7; python train.py --betas 0.9 0.99\n"
    )
    assert split_commands(path)[0] == ["cd", "here"]
    assert read_commands(path, "train.py") == [
        {"lr": 1e-4, "name": "two words", "fp8": True, "shift": 3},
        {"betas": "0.9 0.99"},
    ]
    path.write_text(
        "# a comment \\\n(cd x && python train.py --name a#1 --out x/train.py \\\n"
        " --lr 1 2>&1 > log.txt --fp8) &> log < in # --shift 9\n"
    )
    assert split_commands(path)[0] == ["cd", "x"]
    assert read_commands(path, "train.py") == [
        {"name": "a#1", "out": "x/train.py", "lr": 1, "fp8": True}
    ]
    path.write_text("python train.py --name 'open\n")
    with pytest.raises(InputError, match="No closing quotation"):
        read_commands(path, "train.py")


def test_options_after_a_program():
    assert parse_options(["word", "--a", "-1", "--b=x=y"]) == {"a": -1, "b": "x=y"}


def test_settings_of_a_kind(tmp_path):
    options = {"a": "1e-4", "b": None, "c": True, "d": [1], "e": {"f": 1}}
    assert get_number(options, "a", 0.0, tmp_path) == 1e-4
    assert get_number(options, "b", 2.0, tmp_path) == 2.0
    assert get_number(options, "z", 3.0, tmp_path) == 3.0
    for name in "cd":
        with pytest.raises(InputError, match=f"{name}: .* is not a number"):
            get_number(options, name, 0.0, tmp_path)
    with pytest.raises(InputError, match="is not finite"):
        get_number({"a": float("nan")}, "a", 0.0, tmp_path)
    assert get_positive(options, "a", 1.0, tmp_path) == 1e-4
    with pytest.raises(InputError, match="a: -1 must be above 0"):
        get_positive({"a": -1}, "a", 1.0, tmp_path)
    assert get_whole({"a": 3.0}, "a", 1, tmp_path) == 3
    for value in (0, -5, 2.7, 1e300):
        with pytest.raises(InputError, match=r"a: .* must be a whole number from 1"):
            get_whole({"a": value}, "a", 1, tmp_path)
    assert get_table(options, "e", tmp_path) == {"f": 1}
    assert get_table(options, "b", tmp_path) == {}
    with pytest.raises(InputError, match="d: is no table"):
        get_table(options, "d", tmp_path)


def test_files_are_found_beside_the_configuration(tmp_path):
    (tmp_path / "data.json").write_text("[]")
    config = tmp_path / "config.json"
    assert find_beside(config, "data.json") == tmp_path / "data.json"
    deep = tmp_path / "config" / "wan" / "config.json"
    assert find_beside(deep, "data.json") == tmp_path / "data.json"
    with pytest.raises(InputError, match=r"config.json: none.json: no such file"):
        find_beside(config, "none.json")


def test_text_is_read_as_everywhere_else(tmp_path):
    """UTF-16 with a mark, as some editors save; a folder is no file."""
    path = tmp_path / "a.toml"
    path.write_text("[model]\nshift = 3.0\n", encoding="utf-16")
    assert read_configuration(path) == {"model": {"shift": 3.0}}
    with pytest.raises(InputError, match="no such file"):
        read_configuration(tmp_path)


def test_numbers_too_large_for_a_float_are_refused(tmp_path):
    path = tmp_path / "a.toml"
    for value in (10**400, -(10**400)):
        with pytest.raises(InputError, match="a: a number of that length; correct it"):
            get_number({"a": value}, "a", 0.0, path)
    assert get_number({"a": 1e300}, "a", 0.0, path) == 1e300


def test_a_file_that_no_setting_names_is_said_by_its_setting(tmp_path):
    with pytest.raises(InputError, match=r"a.toml: dataset: not set, and a run needs"):
        find_beside(tmp_path / "a.toml", "", "dataset")
