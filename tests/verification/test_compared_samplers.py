from pathlib import Path

import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.verification.compared_samplers import parse_compared_samplers


def test_samplers_get_their_schedules_and_unique_labels():
    found = parse_compared_samplers("uniform,beta=a/b.json,uniform,bands=a/b.json")
    labels = [each.label for each in found]
    assert labels == ["uniform", "beta=b.json", "uniform#2", "bands=b.json"]
    assert [each.name for each in found] == ["uniform", "beta", "uniform", "bands"]
    schedule = Path("a/b.json")
    assert [each.schedule for each in found] == [None, schedule, None, schedule]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("uniform", "two or more"),
        ("uniform,cosine", "'cosine' is no sampler"),
        ("uniform,bands", "bands needs a schedule"),
        ("uniform,measured", "measured needs a schedule"),
        ("uniform,beta=", "no file after"),
    ],
)
def test_faults_are_refused_with_their_cure(text, shown):
    with pytest.raises(InputError, match=shown):
        parse_compared_samplers(text)
