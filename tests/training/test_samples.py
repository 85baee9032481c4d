import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.training.samples import read_prompts


def test_prompts_are_read_one_a_line(tmp_path):
    file = tmp_path / "prompts.txt"
    file.write_text("a cat\n\n  a dog \n")
    assert read_prompts(file) == ["a cat", "a dog"]
    file.write_text("\n")
    with pytest.raises(InputError, match="is empty"):
        read_prompts(file)
    file.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InputError, match="UTF-8"):
        read_prompts(file)
