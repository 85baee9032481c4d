"""TOML, YAML and JSON that people write."""

import pytest

from tqd_probe.core.structured_text import parse_structured


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".toml", "a = 1e-4\nb = true"),
        (".yaml", "a: 1e-4\nb: on"),
        (".json", '{"a": 1e-4, "b": true}'),
    ],
)
def test_numbers_and_truth_values_are_alike_in_all_three(suffix, text):
    assert parse_structured(text, suffix) == {"a": 1e-4, "b": True}


@pytest.mark.parametrize(
    ("suffix", "text", "fault"),
    [
        (".toml", "a = 1\na = 2", "overwrite"),
        (".yaml", "a: 1\na: 2", "key 'a' stands twice"),
        (".yaml", "a: [1\nb: {", "expected"),
        (".json", "{", "Expecting"),
        (".json", '{"a": 1, "a": 2}', "key 'a' stands twice"),
        (".yaml", "a: !!timestamp abc", "does not fit its value"),
        (".yaml", "a: !!bool abc", "does not fit its value"),
        (".yaml", "[" * 3000, "nested too deeply"),
        (".toml", "a = " + "[" * 3000, "nested too deeply|cannot nest|Invalid"),
        (".json", "[" * 100_000, "nested too deeply"),
    ],
)
def test_damage_is_one_line(suffix, text, fault):
    with pytest.raises(ValueError, match=fault) as error:
        parse_structured(text, suffix)
    assert "\n" not in str(error.value)


def test_keys_that_yaml_merges_are_taken_over():
    text = "base: &base {a: 1, b: 2}\nmine:\n  <<: *base\n  b: 3\n"
    assert parse_structured(text, ".yaml")["mine"] == {"a": 1, "b": 3}


def test_aliases_that_make_no_end_of_values_are_refused():
    """A few lines that would fill any memory once they are written out."""
    rows = [f"- &a0 [{', '.join(['x'] * 9)}]"]
    rows += [f"- &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    text = "- &m {instance_data_dir: 1}\n" + "\n".join(rows)
    with pytest.raises(ValueError, match="more than 1000000 values") as error:
        parse_structured(text, ".yaml")
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="stands inside of what it names"):
        parse_structured("a: &a {b: [*a]}\n", ".yaml")
    shared = parse_structured("a: &a [1, 2]\nb: *a\nc: *a\n", ".yaml")
    assert shared == {"a": [1, 2], "b": [1, 2], "c": [1, 2]}
