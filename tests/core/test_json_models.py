import json

import pytest
from pydantic import BaseModel, ConfigDict, model_validator

from tqd_probe.core.errors import InputError
from tqd_probe.core.json_models import read_model


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")
    level: float


class Whole(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    parts: list[Part]

    @model_validator(mode="after")
    def rising(self):
        levels = [part.level for part in self.parts]
        if levels != sorted(levels):
            raise ValueError("parts[1].level: does not rise")
        return self


def read(path, value):
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return read_model(path, Whole, "a whole", "measure again")


def test_what_was_written_is_read(tmp_path):
    value = {"name": "a", "parts": [{"level": 0.1}, {"level": 0.5}]}
    assert read(tmp_path / "w.json", value).model_dump() == value


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ({"name": "a", "parts": [{"level": 0.1}, {"level": "x"}]}, "parts.1.level: "),
        ({"name": "a", "parts": [{"level": "0.1"}]}, "parts.0.level: "),  # no coercion
        ({"name": "a", "parts": [{"level": 0.1, "lvl": 1}]}, "parts.0.lvl: "),
        ({"name": "a"}, "parts: "),
        ({"name": "a", "parts": [{"level": 1}, {"level": 0}]}, "does not rise"),
        ("[]", "w.json: "),
        ("{", "is not JSON"),
    ],
)
def test_a_fault_is_one_line_with_file_and_field(tmp_path, value, fault):
    with pytest.raises(InputError) as error:
        read(tmp_path / "w.json", value)
    text = str(error.value)
    assert "\n" not in text
    assert text.startswith(str(tmp_path / "w.json"))
    assert fault in text
    assert text.endswith("; measure again")


def test_a_missing_file_says_what_was_expected(tmp_path):
    with pytest.raises(InputError, match="no such file; expected a whole"):
        read_model(tmp_path / "none.json", Whole, "a whole", "measure again")
