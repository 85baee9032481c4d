from types import SimpleNamespace

import pytest

from tqd_probe.training.callbacks.base import Callback


def at(step, steps=10):
    return SimpleNamespace(step=step, settings=SimpleNamespace(steps=steps))


@pytest.mark.parametrize(
    ("every", "at_end", "expected"),
    [
        (0, True, []),
        (3, True, [3, 6, 9, 10]),
        (3, False, [3, 6, 9]),
        (5, True, [5, 10]),
        (5, False, [5]),
        (20, True, [10]),
    ],
)
def test_due_every_so_many_steps_and_at_the_end(every, at_end, expected):
    callback = Callback()
    callback.every = every
    due = [step for step in range(1, 11) if callback.is_due(at(step), at_end)]
    assert due == expected


def test_every_method_may_be_left_as_it_is():
    callback = Callback()
    assert callback.on_train_begin(at(0)) is None
    assert callback.on_step_end(at(1), result=None) is None
    assert callback.on_train_end(at(10)) is None
    assert callback.load_state_dict(callback.state_dict()) is None
    assert callback.state_dict() == {}
