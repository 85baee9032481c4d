import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.core.text_files import open_text, read_text

TEXT = "ein Käfer läuft\n走る\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_decides(tmp_path, encoding):
    path = tmp_path / "a.txt"
    path.write_bytes(TEXT.encode(encoding))
    assert read_text(path) == TEXT
    with open_text(path) as handle:
        assert list(handle) == TEXT.splitlines(keepends=True)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"good\ncaf\xe9\n", "line 2: is not UTF-8 (byte 0xe9, as Latin-1"),
        (b"good\nquote \x93so\x94\n", "line 2: is not UTF-8 (byte 0x93"),
        ("Käfer".encode("utf-16-le"), "holds NUL characters: UTF-16 without"),
        ("Käfer".encode("utf-16-be"), "holds NUL characters: UTF-16 without"),
        (b"\xff\xfeab\x00\xd8", "is not UTF-16, which its byte order mark states"),
        (b"cut in a letter \xc3", "line 1: is not UTF-8 (byte 0xc3"),
    ],
)
def test_other_text_is_refused_never_guessed(tmp_path, data, reason):
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    for read in (read_text, lambda path: list(lines(path))):
        with pytest.raises(InputError) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: {reason}")
        assert str(caught.value).endswith("save it as UTF-8")


def lines(path):
    with open_text(path) as handle:
        yield from handle
