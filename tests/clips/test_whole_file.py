import pytest
from video_files import encode, numbered

from tqd_probe.clips.whole_file import missing_bytes


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "avi"])
def test_what_is_cut_off_is_counted(suffix, tmp_path):
    path = encode(tmp_path / f"a.{suffix}", numbered(3))
    data = path.read_bytes()
    assert missing_bytes(path) == 0
    path.write_bytes(data[:-100])
    assert 92 <= missing_bytes(path) <= 100  # AVI pads its last chunk
    path.write_bytes(data + b"\0" * 9)  # what follows is no fault
    assert missing_bytes(path) == 0


def test_containers_without_a_length(tmp_path):
    live = encode(tmp_path / "a.mkv", numbered(3), muxer={"live": "1"})
    ts = encode(tmp_path / "a.ts", numbered(3), container="mpegts")
    for path in (live, ts):
        path.write_bytes(path.read_bytes()[:-100])
        assert missing_bytes(path) == 0
    (tmp_path / "empty.mp4").write_bytes(b"")
    assert missing_bytes(tmp_path / "empty.mp4") == 0
