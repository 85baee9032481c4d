"""Options of a probe that do not fit together, refused before anything is loaded."""

import numpy as np
import pytest
from pydantic import ValidationError

from tqd_probe.core.errors import InputError
from tqd_probe.probing.settings import ProbeRunSettings


def settings(**values):
    return ProbeRunSettings(ckpt="tiny", **values)


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ({"degradations": "fog:3"}, "'fog'"),
        ({"degradations": "blur:6"}, "blur:6"),
        ({"degradations": "blur"}, "severity is missing"),
        ({"match_severity": "blur"}, "severity is missing"),
        ({"match_severity": "blur:1,noise:1"}, "2 degradations; give one"),
        ({"levels": "0.5,0.1"}, "does not rise"),
        ({"levels": "0,0.5"}, r"outside \(0, 1\)"),
        ({"levels": "a,b"}, "not a list of numbers"),
        ({"levels": "0"}, "0 levels"),
        ({"sketch": "half"}, "give auto, exact, or the numbers kept"),
        ({"sketch": "0"}, "give auto, exact, or the numbers kept"),
        ({"norm_range": "2,1"}, "low < high"),
        ({"norm_range": "2"}, "write low,high"),
        ({"adam_state": "x", "metric": "raw"}, "--adam-state needs --metric adam"),
        ({"mq_min": 0.5}, "--mq-min and --vq-min go together; give both"),
        ({"vq_min": 0.5}, "--mq-min and --vq-min go together; give both"),
        ({"floor": 0.1}, "--floor needs --criterion mixture"),
        ({"pool": "golden=3"}, "--pool needs --criterion mixture"),
        ({"mixture_form": "joint"}, "--mixture-form needs --criterion mixture"),
        ({"criterion": "mixture", "pool": "golden=0"}, "golden has no clips"),
        ({"criterion": "mixture", "pool": "gold=3"}, "'gold' is no class"),
        ({"criterion": "mixture", "pool": "golden=x"}, "no whole number"),
        ({"confidence": 1.0}, "less than or equal to 0.9999"),
        ({"num_clips": 3}, "greater than or equal to 4"),
        ({"num_clips": 7}, "--num-clips 7: at least 8 golden clips are needed"),
        ({"least_clips": 3}, "greater than or equal to 4"),
        ({"draws": 0}, "greater than or equal to 1"),
        ({"expert": "middle"}, "'high', 'low' or 'both'"),
        ({"plan_width": 0}, "greater than or equal to 0.001"),
    ],
)
def test_options_that_do_not_fit_are_refused(values, shown):
    with pytest.raises(ValidationError, match=shown):
        settings(**values)


def test_thresholds_come_as_a_pair():
    assert settings().least_quality() is None
    assert settings(mq_min=0.5, vq_min=0.6).least_quality() == (0.5, 0.6)


def test_degradations_may_be_none():
    assert settings(degradations=" none ").parsed_degradations() == ()
    parsed = settings(degradations="blur:3,freeze:5").parsed_degradations()
    assert [str(each) for each in parsed] == ["blur:3", "freeze:5"]


def test_counted_levels_fill_the_range_of_the_network_before_the_shift():
    assert settings(levels="4").sigmas() == pytest.approx([0.125, 0.375, 0.625, 0.875])
    inside = settings(levels="4", shift=5).sigmas(0.9, 1.0)
    assert inside[0] > 0.9
    assert (np.diff(inside) > 0).all()
    with pytest.raises(InputError, match=r"--levels 0[.]5: outside the network's"):
        settings(levels="0.5,0.95").sigmas(0.9, 1.0)


def test_family_wise_confidence_shares_the_error_between_levels():
    assert settings().level_confidence() == 0.95
    shared = settings(levels="5", family_wise=True).level_confidence()
    assert shared == pytest.approx(0.99)
