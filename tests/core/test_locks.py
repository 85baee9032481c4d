import errno
import fcntl

import pytest

from tqd_probe.core.locks import lock_file


def test_a_lock_is_held_until_its_file_is_closed(tmp_path, capsys):
    with open(tmp_path / "a", "w") as first, open(tmp_path / "a", "w") as second:
        assert lock_file(first, tmp_path)
        assert not lock_file(second, tmp_path)
        first.close()
        assert lock_file(second, tmp_path)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_said_and_used(
    tmp_path, capsys, monkeypatch, code
):
    def flock(handle, how):
        raise OSError(code, "not there")

    monkeypatch.setattr(fcntl, "flock", flock)
    with open(tmp_path / "a", "w") as handle:
        assert lock_file(handle, tmp_path)
    text = capsys.readouterr().err
    assert text.startswith(f"warning: {tmp_path}: locks do not work on this file")
