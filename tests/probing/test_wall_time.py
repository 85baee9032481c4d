"""What the parts of a run take, predicted before its first draw and achieved."""

import json
import time

import pytest

from tqd_probe.core.files import write_json
from tqd_probe.probing import wall_time
from tqd_probe.probing.wall_time import PARTS, add_achieved, described


def test_every_part_is_predicted_and_measured(probe_run):
    measured = json.loads((probe_run / "cost.json").read_text())
    predicted, achieved = (measured[k]["parts"] for k in ("predicted", "achieved"))
    assert tuple(predicted) == PARTS
    assert set(achieved) == set(PARTS)
    for done in ("encoding", "checks"):
        assert predicted[done] == achieved[done] > 0
    assert measured["predicted"]["seconds"] <= predicted["capture"]
    assert 0 < predicted["reducing"] < 10
    assert 0 < predicted["results"] < 10


def test_the_total_is_said_with_its_parts():
    parts = {name: 10.0 * n for n, name in enumerate(PARTS)}
    assert described(parts) == (
        "about 150 s for the whole run: encoding 0, checks 10, capture 20, reducing 30,"
        " results 40, figures 50"
    )


def test_a_part_is_added_once_to_what_a_run_took(tmp_path):
    add_achieved(tmp_path, "figures", 2.0)
    assert not list(tmp_path.iterdir())  # the run captured nothing
    path = tmp_path / "cost.json"
    write_json(path, {"achieved": {"parts": {"capture": 3.0}}})
    add_achieved(tmp_path, "figures", 2.0)
    add_achieved(tmp_path, "figures", 9.0)
    parts = json.loads(path.read_text())["achieved"]["parts"]
    assert parts == {"capture": 3.0, "figures": 2.0}


def test_a_pass_is_timed_beside_other_work():
    turns = []

    def other():
        turns.append(time.sleep(0.01))

    seconds = wall_time._seconds_beside(lambda: time.sleep(0.05), other)
    assert seconds == pytest.approx(0.05, abs=0.04)
    assert len(turns) >= 3
    count = len(turns)
    time.sleep(0.05)
    assert len(turns) == count  # the thread has ended
