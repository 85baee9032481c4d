import json

import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.core.files import digest, read_json, staged, write_json


def test_staged_leaves_nothing_half_written(tmp_path):
    path = tmp_path / "sub" / "a.txt"
    with pytest.raises(RuntimeError), staged(path) as part:
        part.write_text("half")
        raise RuntimeError
    assert list(path.parent.iterdir()) == []
    with staged(path) as part:
        part.write_text("whole")
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_staged_keeps_the_old_file_when_writing_fails(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(InputError, match=r"a\.txt: cannot be written"):
        with staged(path) as part:
            part.write_text("new")
            raise OSError(28, "No space left on device")
    assert path.read_text() == "old"


def test_json_is_stable_and_has_no_nan(tmp_path):
    value = {"b": [1.5, 2, None], "a": [[1, 2], [3, 4]], "s": ["[x]", "{"], "e": []}
    write_json(tmp_path / "a.json", value)
    assert json.loads((tmp_path / "a.json").read_text()) == value
    assert "[1.5, 2, null]" in (tmp_path / "a.json").read_text()
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "b.json", [float("nan")])
    assert not (tmp_path / "b.json").exists()


def test_read_json_names_the_fault(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{\n"a": }')
    with pytest.raises(InputError, match=r"a\.json: line 2 is not JSON"):
        read_json(path, "a thing")
    path.write_text('{"a": NaN}')
    with pytest.raises(InputError, match="NaN is not a number JSON allows"):
        read_json(path, "a thing")


def test_digest_ignores_key_order():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
