import math

import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.scoring.score_row import parse_name, parse_score, to_json_value


def test_scores_are_finite_numbers_or_none():
    assert [parse_score(x, "mq") for x in (None, "", "0.5", 3, " 1e-3 ")] == [
        None,
        None,
        0.5,
        3.0,
        0.001,
    ]
    for cell in ("nan", math.inf, True, "A", [0.5], " [1]", {"x": 1}):
        with pytest.raises(InputError, match=r"^mq: "):
            parse_score(cell, "mq")


def test_names_are_stripped_text():
    assert parse_name(" a.mp4 ", "video") == "a.mp4"
    assert parse_name(7, "video") == "7"
    for cell in (None, " ", ["a"], {"a": 1}):
        with pytest.raises(InputError, match=r"^video: "):
            parse_name(cell, "video")


def test_components_become_json_values():
    cells = ["1.5", "x", "", "nan", 3, True, [1], None]
    values = [1.5, "x", None, None, 3, True, [1], None]
    assert [to_json_value(cell) for cell in cells] == values


def test_long_cells_are_cut_in_messages():
    with pytest.raises(InputError) as error:
        parse_score("word " * 100, "mq")
    assert len(str(error.value)) < 200
