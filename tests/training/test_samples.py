import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.training.samples import read_prompts


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("bands.json", '{"format": "tqd-band-schedule"}', "is a band schedule"),
        ("clips.csv", "video,caption\na.mp4,a cat\n", "is a table of clips"),
        ("p.json", '["a cat",\n"a dog"]', "each line of it would be a prompt"),
        ("p.toml", 'prompt = "a cat"', "each line of it would be a prompt"),
        ("p.txt", "\0\0\0\x18ftypmp42", "is a video"),
    ],
)
def test_lines_that_are_no_prompts_are_refused(tmp_path, name, text, said):
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(InputError) as error:
        read_prompts(file)
    assert said in str(error.value)
    assert str(file) in str(error.value)
    assert "one prompt a line" in str(error.value)


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
