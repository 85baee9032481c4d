import pytest

from tqd_probe.clips.column_names import ALIASES, column_key, find_column
from tqd_probe.core.errors import InputError


def test_column_key():
    assert column_key(" Aesthetic Score ") == "aesthetic_score"
    assert column_key("overall/final-score") == "overall_final_score"


def test_the_first_alias_a_table_has_is_the_field():
    columns = ["Aesthetic Score", "clarity-score", "Video_Path"]
    assert find_column(columns, ALIASES["vq"]) == "clarity-score"
    assert find_column(columns, ALIASES["video"]) == "Video_Path"
    assert find_column(columns, ALIASES["mq"]) is None


def test_two_spellings_of_one_name_are_refused():
    with pytest.raises(InputError, match="'MQ' and 'mq' are the same name"):
        find_column(["MQ", "mq"], ["mq"])
