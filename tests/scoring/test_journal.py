import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.scoring.journal import Journal


def test_one_process_at_a_time(tmp_path):
    with Journal(tmp_path / "j.jsonl", {"a": 1}):
        with pytest.raises(InputError, match="another process is scoring"):
            Journal(tmp_path / "j.jsonl", {"a": 1})
    (tmp_path / "k.jsonl").write_text("{}\n")
    with pytest.raises(InputError, match="not a scoring journal"):
        Journal(tmp_path / "k.jsonl", {"a": 1})
