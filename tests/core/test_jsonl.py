import json

from tqd_probe.core.jsonl import JsonlWriter, read_jsonl


def test_lines_are_cut_where_a_run_goes_on(tmp_path):
    lines = JsonlWriter(tmp_path / "m.jsonl")
    for step in range(1, 5):
        lines.write({"step": step, "loss": step / 3})
    lines.close()
    with open(lines.path, "a") as handle:
        handle.write('{"step": 5, "lo')  # killed while writing
    lines.drop_after(3)
    assert [row["step"] for row in read_jsonl(lines.path)] == [1, 2, 3]
    lines.write({"step": 4, "loss": 4 / 3})
    lines.close()
    rows = [json.loads(line) for line in lines.path.read_text().splitlines()]
    assert rows == [{"step": s, "loss": s / 3} for s in range(1, 5)]
