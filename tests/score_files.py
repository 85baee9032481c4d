"""Published score files of tests: written, read, and read with a fault expected."""

import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.scoring.published.score_file import open_scores


def write(tmp_path, text, name="scores.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


def read(path, **columns):
    file = open_scores(path, **columns)
    return file, list(file.rows())


def fault(path, *parts, **columns):
    with pytest.raises(InputError) as error:
        read(path, **columns)
    text = str(error.value)
    assert text.startswith(str(path)), text
    assert "\n" not in text
    for part in parts:
        assert part in text, text
