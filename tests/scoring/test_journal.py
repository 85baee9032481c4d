import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.scoring.journal import Journal
from tqd_probe.scoring.tasks import Task


def test_one_process_at_a_time(tmp_path):
    with Journal(tmp_path / "j.jsonl", {"a": 1}):
        with pytest.raises(InputError, match="another process is scoring"):
            Journal(tmp_path / "j.jsonl", {"a": 1})
    (tmp_path / "k.jsonl").write_text("{}\n")
    with pytest.raises(InputError, match="not a scoring journal"):
        Journal(tmp_path / "k.jsonl", {"a": 1})


def test_a_full_disk_is_one_line(tmp_path):
    with Journal(tmp_path / "j.jsonl", {"a": 1}) as journal:
        journal._file.close()
        journal._file = open("/dev/full", "wb")  # noqa: SIM115 - closed by the journal
        with pytest.raises(InputError, match=r"j.jsonl: cannot be written \(No space"):
            journal.add(Task("a.mp4"), {"bad": "x"})
