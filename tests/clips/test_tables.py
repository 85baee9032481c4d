import json
import tracemalloc

import pytest

from tqd_probe.clips.tables import iterate_table, read_columns, read_table
from tqd_probe.core.errors import InputError


@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl"])
def test_a_large_table_is_read_in_small_memory(tmp_path, suffix):
    path = tmp_path / f"t.{suffix}"
    caption, count = "word, " * 800, 2_000
    with open(path, "w") as handle:
        handle.write({"csv": "video,caption,mq\n", "json": "[", "jsonl": ""}[suffix])
        for n in range(count):
            cells = {"video": f"{n}.mp4", "caption": caption, "mq": n}
            if suffix == "csv":
                handle.write(f'{n}.mp4,"{caption}",{n}\n')
            else:
                comma = "," if suffix == "json" and n + 1 < count else ""
                handle.write(json.dumps(cells) + comma + "\n")
        handle.write("]" if suffix == "json" else "")
    assert path.stat().st_size > 9e6
    tracemalloc.start()
    total = sum(int(cells["mq"]) for _, cells in iterate_table(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == count * (count - 1) // 2
    assert peak < 1.5e6


def test_parquet_rows_equal_csv_rows(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [{"video": f"{n}.mp4", "mq": n / 8} for n in range(10_000)]
    path = tmp_path / "t.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    found = list(iterate_table(path))
    assert [cells for _, cells in found] == rows
    assert found[-1][0] == "row 10000"
    assert read_columns(path) == ["video", "mq"]


def test_folder_without_tables(tmp_path):
    with pytest.raises(InputError, match=r"no \.json files"):
        read_table(tmp_path)
