"""Decisions are refused where a number or an interval cannot be."""

import pytest
from pydantic import ValidationError

from tqd_probe.schedules.decision_schema import Decision

CLASS = {"status": "measured", "use": [[0.5, 1.0]], "test": [], "avoid": [[0.0, 0.5]]}


def decision(**changed):
    classes = {"visual_degraded": {**CLASS, **changed}}
    return Decision.model_validate({"classes": classes, "next": []})


def test_a_decision_is_read_back_as_it_was_written():
    expected = {"share": 0.9, "low": 0.7, "high": 1.01}
    made = decision(expected=expected)
    again = Decision.model_validate_json(made.model_dump_json())
    assert again == made
    assert again.classes["visual_degraded"].use == [(0.5, 1.0)]
    assert again.classes["visual_degraded"].expected.high == 1.01


@pytest.mark.parametrize(
    "changed",
    [
        {"use": [[0.5, 1.5]]},
        {"use": [[0.9, 0.5]]},
        {"avoid": [[0.0, 0.3], [0.2, 0.5]]},
        {"status": "harmful"},
        {"expected": {"share": float("nan"), "low": 0.0, "high": 1.0}},
        {"shares": 1},
    ],
)
def test_impossible_values_are_refused(changed):
    with pytest.raises(ValidationError, match=f"visual_degraded.{next(iter(changed))}"):
        decision(**changed)


def test_nothing_is_said_of_the_use_of_what_is_not_measured():
    with pytest.raises(ValidationError, match="use: of a class that is unmeasured"):
        decision(status="unmeasured")
    empty = {"use": [], "test": [], "avoid": []}
    known = decision(status="unmeasured", **empty).classes["visual_degraded"]
    assert known.status == "unmeasured"
