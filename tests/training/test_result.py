import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.core.jsonl import JsonlWriter
from tqd_probe.training.result import publish_weights, summarise_run


def test_weights_are_published_whole_in_place_of_older_ones(tmp_path):
    weights, place = tmp_path / "weights", tmp_path / "result"
    (weights / "vae").mkdir(parents=True)
    (weights / "vae" / "config.json").write_text("{}")
    place.mkdir()
    (place / "old.json").write_text("{}")
    assert publish_weights(weights, place) == place
    assert [path.name for path in place.rglob("*")] == ["vae", "config.json"]
    assert weights.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["result", "weights"]


def test_a_disk_error_names_where_the_weights_are(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"the weights are in .*weights"):
        publish_weights(tmp_path / "weights", tmp_path / "file" / "result")


def test_summary_of_speed_and_validation(tmp_path):
    assert summarise_run(tmp_path, 3, 7) == "step 3 of 7"
    times = {"clips_per_second": 2.04, "data_wait_share": 0.5, "memory_gb": 1.0}
    JsonlWriter(tmp_path / "timing.jsonl").write({"step": 7, **times})
    classes = {
        "golden": {"clips": 4, "loss": 0.5, "change": -0.1, "change_ci": [-0.2, 0.0]},
        "both_degraded": {"clips": 1, "loss": 0.7, "change": 0.2, "change_ci": None},
    }
    JsonlWriter(tmp_path / "validation.jsonl").write({"step": 7, "classes": classes})
    first, _, golden, both = summarise_run(tmp_path, 7, 7).splitlines()
    assert first == "step 7 of 7; 2.0 clips per second, data wait 50.0 %, 1.0 GB"
    assert " ".join(golden.split()) == "golden 4 0.5000 -0.1000 [-0.2000, +0.0000]"
    assert " ".join(both.split()) == "both_degraded 1 0.7000 +0.2000 one clip"
