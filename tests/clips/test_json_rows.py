import json
import math
import tracemalloc

import pytest

from tqd_probe.clips import json_rows
from tqd_probe.clips.tables import iterate_table
from tqd_probe.core.errors import InputError


def test_json_list_across_chunks_keeps_places_and_text(tmp_path, monkeypatch):
    rows = [{"v": f"{n}", "t": 'a "b" [c] {d} \\ \n é 😀', "n": n} for n in range(40)]
    path = tmp_path / "t.json"
    path.write_text(json.dumps(rows, indent=2, ensure_ascii=False))
    for chunk in (1, 7, 64):
        monkeypatch.setattr(json_rows, "CHUNK", chunk)
        found = list(iterate_table(path))
        assert [cells for _, cells in found] == rows
        assert found[39][0] == "item 40"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[\n{"a": 1},\n]', "line 3"),
        ('[\n{"a": 1}\n{"a": 2}]', "line 3"),
        ('[{"a": 1}]\nmore', "line 2"),
        ('[{"a": 1}', "line 1"),
        ('[\n\n{"a": tru}]', "line 3"),
        ('[{"a": ' + "1" * 5000 + "}]", "line 1"),  # Python reads 4,300 digits
    ],
)
def test_broken_json_names_the_line(tmp_path, text, line):
    path = tmp_path / "t.json"
    path.write_text(text)
    with pytest.raises(InputError, match=f"{line}: is not JSON"):
        list(iterate_table(path))


def test_broken_json_is_refused_without_reading_on(tmp_path):
    path = tmp_path / "t.json"
    path.write_text('[{"a": oops, "b": 1},' + " " * 5_000_000 + "]")
    tracemalloc.start()
    with pytest.raises(InputError, match="line 1"):
        list(iterate_table(path))
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


def test_nan_and_large_whole_numbers_pass(tmp_path):
    path = tmp_path / "t.json"
    path.write_text('[{"a": NaN, "b": 123456789012345678901234567890}]')
    ((place, cells),) = iterate_table(path)
    assert place == "item 1"
    assert math.isnan(cells["a"])
    assert cells["b"] == 123456789012345678901234567890


def test_an_object_file_refuses_a_repeated_key(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"a": 1, "b": {"c": 2}}')
    assert json_rows.read_object(path) == {"a": 1, "b": {"c": 2}}
    path.write_text('{"a": 1, "a": 2}')
    with pytest.raises(InputError, match="key 'a' appears twice"):
        json_rows.read_object(path)
