"""What a run costs, predicted and measured; memory decides its batches."""

import json

from probe_runs import arguments, copy_of, result

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
