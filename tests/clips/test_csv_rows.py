import pytest

from tqd_probe.clips.tables import iterate_table
from tqd_probe.core.errors import InputError


def rows(tmp_path, text, name="t.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return list(iterate_table(path))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('video,caption,mq\r\na.mp4,"a dog, running",0.35\r\n', "t.csv"),
        ("video;caption;mq\r\na.mp4;a dog, running;0,35\r\n", "t.csv"),
        ("sep=;\r\nvideo;caption;mq\r\na.mp4;a dog, running;0,35\r\n", "t.csv"),
        ("video\tcaption\tmq\r\na.mp4\ta dog, running\t0,35\r\n", "t.tsv"),
        ('\r\nvideo\tcaption\tmq\r\na.mp4\t"a dog, running"\t0.35\r\n', "t.csv"),
    ],
)
def test_what_spreadsheets_write(tmp_path, text, name, encoding):
    ((_, cells),) = rows(tmp_path, text, name, encoding)
    assert cells == {"video": "a.mp4", "caption": "a dog, running", "mq": "0.35"}


def test_text_keeps_its_commas(tmp_path):
    ((place, cells),) = rows(tmp_path, "sep=;\nvideo;caption;mq;vq\n1,5;2,5;1;-1,5e3\n")
    assert place == "line 3"
    assert list(cells.values()) == ["1,5", "2,5", "1", "-1.5e3"]


def test_a_separator_that_is_not_clear_is_named(tmp_path):
    with pytest.raises(InputError, match="line 1: as many commas as semicolons"):
        rows(tmp_path, "a,b;c\n1,2;3\n")
    ((_, cells),) = rows(tmp_path, "video;caption,long\na.mp4;x, y\n")
    assert cells == {"video": "a.mp4", "caption,long": "x, y"}  # `video` decides
    with pytest.raises(
        InputError, match=r"line 2: 3 cells under 2 columns; quote .* semicolons"
    ):
        rows(tmp_path, "video;caption\na.mp4;x;y\n")
