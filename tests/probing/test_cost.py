"""What a run costs, predicted and measured; memory decides its batches."""

import json

import pytest
from probe_runs import arguments, copy_of, fails, result

from tqd_probe import gradsim


def test_the_meter_predicts_and_measures(probe_run, pipeline, tmp_path, capsys):
    counted = result(probe_run)["cost"]
    assert counted["clip_gradients"] == 3 * 5 * 2 * 4
    assert counted["passes"] == 3 * 2  # eight draws in one, two in the other
    assert counted["flops"] == 120 * counted["flops_per_clip_gradient"] > 0
    measured = json.loads((probe_run / "cost.json").read_text())
    assert measured["predicted"]["clip_gradients"] == 120
    assert measured["achieved"]["clip_gradients"] == 120
    assert measured["achieved"]["ratio_to_plain"] > 0
    out = copy_of(probe_run, tmp_path)
    before = (out / "cost.json").read_bytes()
    assert gradsim.main(arguments(pipeline, out)) == 0  # nothing left to do
    assert "cost:" not in capsys.readouterr().err
    assert (out / "cost.json").read_bytes() == before


def test_flops_of_a_plain_pass(probe_run, pipeline):
    """Two per product and weight, three passes; attention is on top."""
    from tqd_probe.models.load import load_model

    network = load_model(str(pipeline)).network
    weights = sum(p.numel() for n, p in network.named_parameters() if "blocks" in n)
    tokens = 2 * 2 * 2  # 5 frames of 32 x 32
    counted = result(probe_run)["cost"]["flops_per_clip_gradient"]
    assert 0.3 < counted / (6 * weights * tokens) < 3


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
    assert gradsim.main(arguments(pipeline, out)) == 0
    assert result(out)["cost"]["batch_size"] == 2  # 0.8 x 3
    assert result(out)["cost"]["passes"] == 60
    a, b = result(out)["subjects"]["blur:4"], result(probe_run)["subjects"]["blur:4"]
    assert a["cosine_naive"] == pytest.approx(b["cosine_naive"], rel=1e-4)
    monkeypatch.setattr(Small, "factor", 0.5)
    assert gradsim.main(arguments(pipeline, tmp_path / "none")) == 2
    assert "out of memory with one clip; use --checkpointing" in capsys.readouterr().err
