import pytest

from tqd_probe.clips.captions import caption_path, read_caption
from tqd_probe.core.errors import InputError


def test_caption_is_in_the_text_file_of_the_same_name(tmp_path):
    video = tmp_path / "a cat.v2.mp4"
    assert caption_path(video) == tmp_path / "a cat.v2.txt"
    caption_path(video).write_text("  A cat\n\tsleeps. \n", encoding="utf-8")
    assert read_caption(video) == "A cat sleeps."


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "no such file"), (b" \n", "is empty"), (b"caf\xe9", "UTF-8")],
)
def test_a_missing_empty_or_unreadable_caption_names_its_file(
    tmp_path, content, reason
):
    if content is not None:
        (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(InputError) as error:
        read_caption(tmp_path / "a.mp4")
    assert str(error.value).startswith(f"{tmp_path / 'a.txt'}: caption: ")
    assert reason in str(error.value)
