import os
import unicodedata
from pathlib import Path

import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.core.file_names import (
    expand_home,
    find_file,
    refuse_undecodable,
    shown,
)


@pytest.mark.parametrize(("kept", "asked"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_name_is_found_in_another_unicode_form(tmp_path, kept, asked):
    names = ("Äcker", "café.mp4")
    folder, file = (unicodedata.normalize(kept, name) for name in names)
    (tmp_path / folder).mkdir()
    (tmp_path / folder / file).write_bytes(b"")
    wanted = [unicodedata.normalize(asked, name) for name in names]
    assert find_file(tmp_path.joinpath(*wanted)) == tmp_path / folder / file
    absent = tmp_path / wanted[0] / "né.mp4"
    assert find_file(absent).name == "né.mp4"
    assert find_file(tmp_path / "plain.mp4") == tmp_path / "plain.mp4"


def test_a_name_that_is_no_text_is_named(tmp_path):
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4"))
    refuse_undecodable([tmp_path / "café.mp4"])
    with pytest.raises(InputError) as caught:
        refuse_undecodable([tmp_path / "a.mp4", odd])
    assert str(caught.value).startswith(rf"{tmp_path}/caf\xe9.mp4: the name is not UTF")
    assert "(1 such names)" in str(caught.value)
    assert shown(odd.name) == r"caf\xe9.mp4"


def test_the_home_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expand_home(Path("~/runs/a")) == tmp_path / "runs" / "a"
    assert expand_home(Path("a/~b")) == Path("a/~b")
    with pytest.raises(InputError, match="home directory is not known"):
        expand_home(Path("~no such user/a"))
