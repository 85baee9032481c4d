from datetime import date

import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.core.structured_text import parse_structured
from tqd_probe.exporting.configuration_files import Literal
from tqd_probe.exporting.edit_configuration import (
    command_text,
    quote,
    set_options,
    set_toml,
    toml_text,
)

TEXT = """# mine
dataset = 'a.toml'  # kept
epochs = 10

[model]
type = 'wan'
min_t = 0.1

[adapter]
min_t = 0.2
"""


def test_keys_of_one_section_are_changed(tmp_path):
    changed = set_toml(TEXT, "model", {"min_t": 0.5, "max_t": 1.0}, tmp_path)
    table = parse_structured(changed, ".toml")
    assert table["model"] == {"type": "wan", "min_t": 0.5, "max_t": 1.0}
    assert table["adapter"] == {"min_t": 0.2}
    assert changed.startswith("# mine\ndataset = 'a.toml'  # kept\n")
    changed = set_toml(TEXT, "", {"epochs": 3, "dataset": None}, tmp_path)
    assert parse_structured(changed, ".toml")["epochs"] == 3
    assert "dataset" not in parse_structured(changed, ".toml")
    changed = set_toml(TEXT, "new", {"names": ["a", 'b"c']}, tmp_path)
    assert parse_structured(changed, ".toml")["new"] == {"names": ["a", 'b"c']}


@pytest.mark.parametrize(
    "text", ["[model]\nmin_t = [\n  0.1,\n]\n", "model = {min_t = 0.1}\n"]
)
def test_forms_that_cannot_be_changed_are_refused(tmp_path, text):
    with pytest.raises(InputError, match=r"min_t: cannot be changed in \[model\]"):
        set_toml(text, "model", {"min_t": 0.5}, tmp_path / "x.toml")
    with pytest.raises(InputError, match=r"x.toml: model: is no table"):
        set_toml("model = 'x'\n", "model", {"min_t": 0.5}, tmp_path / "x.toml")


def test_options_of_a_command():
    words = ["run", "x.py", "--a", "1", "--betas", "0.9", "0.99", "--fp8", "--b=2"]
    changed = set_options(words, 2, {"a": 3, "b": None, "fp8": None, "new": True})
    assert changed == ["run", "x.py", "--betas", "0.9", "0.99", "--a", "3", "--new"]
    assert command_text(changed) == (
        "run x.py \\\n  --betas 0.9 0.99 \\\n  --a 3 \\\n  --new"
    )


def test_words_are_quoted_and_variables_stay():
    assert [quote(w) for w in ("a b", "it's", "$HOME/x y", "plain")] == [
        "'a b'",
        "'it'\"'\"'s'",
        '"$HOME/x y"',
        "plain",
    ]
    assert quote(Literal("$HOME/x")) == "'$HOME/x'"


def test_tables_are_written_and_read_back(tmp_path):
    table = {
        "a": 1,
        "general": {"size": [960, 544], "on": True},
        "datasets": [{"x": 0.5, "y": "é\x7f"}, {"x": {"deep": 1}}],
        "two words": {"a b": {"c d": [float("inf"), date(2026, 1, 1)]}},
    }
    assert parse_structured(toml_text(table, tmp_path), ".toml") == table
    assert "nan" in toml_text({"x": float("nan")}, tmp_path)
    with pytest.raises(InputError, match="cannot be written as TOML"):
        toml_text({"x": None}, tmp_path)
