import pytest
from probe_runs import arguments, copy_of, fails, finished, result

from tqd_probe import gradsim


@pytest.mark.parametrize("text", ["[]", '{"batch_size": 1}', '{"batch_size": "x"}'])
def test_a_damaged_record_of_work_is_named(probe_run, pipeline, tmp_path, capsys, text):
    out = copy_of(probe_run, tmp_path)
    (out / "gradients" / "work.json").write_text(text)
    fails(capsys, arguments(pipeline, out), "work.json: not a record of counts")


def test_memory_decides_the_batch(probe_run, pipeline, tmp_path, monkeypatch, capsys):
    """Half the versions fit: two passes per draw, the same numbers."""
    from tqd_probe.probing import batch_size

    class Small(batch_size.PeakMemory):
        factor = 3

        def __exit__(self, *rest):
            self.used, self.free = 1000, self.factor * 1000

    monkeypatch.setattr(batch_size, "PeakMemory", Small)
    out = tmp_path / "small"
    found = finished(pipeline, out)
    assert found["cost"]["batch_size"] == 2  # 0.8 x 3
    assert found["cost"]["passes"] == 60
    a, b = found["subjects"]["blur:4"], result(probe_run)["subjects"]["blur:4"]
    assert a["cosine_naive"] == pytest.approx(b["cosine_naive"], rel=1e-4)
    monkeypatch.setattr(Small, "factor", 0.5)
    assert gradsim.main(arguments(pipeline, tmp_path / "none")) == 2
    assert "out of memory with one clip and gradient" in capsys.readouterr().err
