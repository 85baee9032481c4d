import resource

import numpy as np
import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.core.tensor_files import read_tensors, write_tensors

TENSORS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([7])}


def test_arrays_come_back_with_type_and_shape(tmp_path):
    path = tmp_path / "sub" / "t.safetensors"
    write_tensors(path, {**TENSORS, "c": TENSORS["a"].T}, "level 0")
    found = read_tensors(path, "level 0")
    assert list(found) == ["a", "b", "c"]
    for name, value in {**TENSORS, "c": TENSORS["a"].T}.items():
        np.testing.assert_array_equal(found[name], value)
        assert found[name].dtype == value.dtype
    assert [p.name for p in path.parent.iterdir()] == ["t.safetensors"]


def test_equal_content_gives_equal_bytes(tmp_path):
    for name in ("a", "b"):
        write_tensors(tmp_path / name, TENSORS, "x")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_another_label_a_missing_and_a_damaged_file_are_none(tmp_path):
    path = tmp_path / "t.safetensors"
    assert read_tensors(path, "level 0") is None
    write_tensors(path, TENSORS, "level 0")
    assert read_tensors(path, "level 1") is None
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert read_tensors(path, "level 0") is None
    path.write_bytes(content[:-4])
    assert read_tensors(path, "level 0") is None


@pytest.mark.parametrize("change", [{"a": -TENSORS["a"]}, {"z": TENSORS["a"]}])
def test_the_checksum_covers_names_and_values(tmp_path, change):
    write_tensors(tmp_path / "a", TENSORS, "x")
    write_tensors(tmp_path / "b", {**TENSORS, **change}, "x")
    texts = [(tmp_path / name).read_bytes() for name in ("a", "b")]
    sums = [text[text.index(b'"checksum":"') + 12 :][:64] for text in texts]
    assert sums[0] != sums[1]


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    """A limit on the size of a file meets safetensors as a full disk does."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(InputError) as caught:
            write_tensors(tmp_path / "t", {"a": np.zeros(4000)}, "x")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    text = f"{tmp_path / 't'}: cannot be written (File too large); free the disk or"
    assert str(caught.value).startswith(text)
    assert list(tmp_path.iterdir()) == []
