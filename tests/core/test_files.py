import json
import math
import shutil

import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.core.files import (
    digest,
    file_digest,
    finite_or_none,
    read_json,
    staged,
    staged_folder,
    write_json,
)


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
    with pytest.raises(InputError, match="NaN is not allowed in JSON"):
        read_json(path, "a thing")


def test_digest_ignores_key_order():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_staged_folder_appears_whole_or_not_at_all(tmp_path):
    place = tmp_path / "runs" / "a"
    with pytest.raises(RuntimeError), staged_folder(place) as part:
        (part / "half.txt").write_text("half")
        raise RuntimeError
    assert names(place.parent) == []
    with staged_folder(place) as part:
        (part / "sub").mkdir()
        (part / "sub" / "b.txt").write_text("whole")
        assert not place.exists()
    assert names(place.parent) == ["a"]
    assert (place / "sub" / "b.txt").read_text() == "whole"


def test_a_file_that_the_disk_refuses_is_named_by_its_folder(tmp_path):
    place = tmp_path / "checkpoint"
    cure = "free the disk; the same command starts anew"
    with pytest.raises(InputError) as error, staged_folder(place, cure=cure) as part:
        with staged(part / "weights" / "a.bin"):
            raise OSError(28, "No space left on device")
    reason = "cannot be written (No space left on device)"
    assert str(error.value) == f"{place}: {reason}; {cure}"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_copied_gives_the_reason_alone(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_text("1")

    def refuse(source, target, **_):
        raise OSError(28, "No space left on device", source, None, target)

    with pytest.raises(InputError, match=r"c: cannot be written \(No space left"):
        with staged_folder(tmp_path / "c") as part:
            shutil.copytree(tmp_path / "a", part / "a", copy_function=refuse)


def test_staged_folder_replaces_only_when_asked(tmp_path):
    place = tmp_path / "a"
    place.mkdir()
    with staged_folder(place) as part:  # an empty folder is as good as none
        (part / "old.txt").write_text("1")
    with pytest.raises(InputError, match="a: exists and is not empty"):
        with staged_folder(place):
            pass
    with staged_folder(place, replace=True) as part:
        (part / "new.txt").write_text("2")
    assert names(tmp_path) == ["a"]
    assert names(place) == ["new.txt"]


def test_staged_folder_keeps_what_was_there_when_the_disk_refuses(tmp_path):
    place = tmp_path / "a"
    place.mkdir()
    (place / "old.txt").write_text("1")
    message = r"a: cannot be written \(No space left on device\); use --out"
    with pytest.raises(InputError, match=message):
        with staged_folder(place, replace=True, cure="use --out") as part:
            (part / "new.txt").write_text("2")
            raise OSError(28, "No space left on device")
    assert names(tmp_path) == ["a"]
    assert names(place) == ["old.txt"]


def test_file_digest_and_finite_or_none(tmp_path, monkeypatch):
    monkeypatch.delattr("hashlib.file_digest", raising=False)  # as on Python 3.10
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert file_digest(path) == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
    assert finite_or_none(1.5) == 1.5
    assert [finite_or_none(x) for x in (math.nan, math.inf, -math.inf)] == [None] * 3
