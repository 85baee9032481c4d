import json
from pathlib import Path

import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.core.jsonl import JsonlWriter, read_jsonl


def test_rows_after_the_step_of_a_resume_are_dropped(tmp_path):
    writer = JsonlWriter(tmp_path / "m.jsonl")
    for step in range(1, 5):
        writer.write({"step": step, "loss": step / 3})
    writer.close()
    with open(writer.path, "a") as handle:
        handle.write('{"step": 5, "lo')  # killed while writing
    writer.drop_after(3)
    assert [row["step"] for row in read_jsonl(writer.path)] == [1, 2, 3]
    writer.write({"step": 4, "loss": 4 / 3})
    writer.close()
    rows = [json.loads(line) for line in writer.path.read_text().splitlines()]
    assert rows == [{"step": s, "loss": s / 3} for s in range(1, 5)]


def test_a_missing_file_has_no_rows_and_damaged_lines_are_skipped(tmp_path):
    path = tmp_path / "m.jsonl"
    assert read_jsonl(path) == []
    JsonlWriter(path).drop_after(3)
    assert not path.exists()
    path.write_text('{"step": 1}\n[1]\n{"loss": 2}\n{"step": "x"}\n{"step": 2}\n{"st')
    assert read_jsonl(path) == [{"step": 1}, {"step": 2}]


def test_nan_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        JsonlWriter(tmp_path / "m.jsonl").write({"step": 1, "loss": float("nan")})


def test_a_full_disk_is_one_line(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("no device that is always full")
    (tmp_path / "m.jsonl").symlink_to("/dev/full")
    writer = JsonlWriter(tmp_path / "m.jsonl")
    with pytest.raises(InputError, match=r"m.jsonl: cannot be written \(No space left"):
        writer.write({"step": 1})
    writer.close()
