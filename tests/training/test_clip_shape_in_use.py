from types import SimpleNamespace

import pytest
from band_schedules import VERSION_1, VERSION_2

from tqd_probe.clips.shape import ClipShape
from tqd_probe.core.errors import InputError
from tqd_probe.schedules.band_schedule import BandSchedule
from tqd_probe.training.clip_shape_in_use import take_clip_shape
from tqd_probe.training.settings import TrainRunSettings

CHECKED = []
MODEL = SimpleNamespace(
    family="wan", native=ClipShape(81, 480, 832, 16.0), check_shape=CHECKED.append
)
MEASURED = BandSchedule.model_validate(VERSION_2)  # 17 x 64 x 64 at 16 fps
OLD = BandSchedule.model_validate(VERSION_1)


def taken(*schedules, model=MODEL, **given):
    base = {"ckpt": "tiny", "clips": "synthetic:8", "steps": 9, "out": "run"}
    settings = TrainRunSettings(**base, **given)
    found, note = take_clip_shape(settings, schedules, model)
    return (found.frames, found.height, found.width, found.fps), note


def test_without_a_shape_that_of_the_schedule_is_taken_over():
    shape, note = taken(MEASURED)
    assert shape == (17, 64, 64, 16.0)
    assert note == "clip shape: 17 x 64 x 64 at 16 fps, as the schedule was measured"
    assert CHECKED[-1] == ClipShape(17, 64, 64, 16.0)
    assert taken(None, MEASURED, MEASURED)[0] == shape


def test_a_shape_that_is_given_wins():
    shape, note = taken(MEASURED, frames=33, fps=8)
    assert shape == (33, 64, 64, 8.0)
    assert note == (
        "clip shape: 33 x 64 x 64 at 8 fps, as given (--frames, --fps); the schedule"
        " was measured on clips of 17 x 64 x 64 at 16 fps"
    )


@pytest.mark.parametrize("schedules", [(), (None,), (OLD,)])
def test_without_a_schedule_that_says_one_it_is_the_checkpoints(schedules):
    shape, note = taken(*schedules)
    assert shape == (None,) * 4
    assert note == "clip shape: 81 x 480 x 832 at 16 fps, the checkpoint's"
    assert "33 x 480 x 832 at 16 fps, as given (--frames)" in taken(frames=33)[1]


def test_a_schedule_of_another_family_has_no_shape_to_give():
    other = SimpleNamespace(**{**vars(MODEL), "family": "cogvideox"})
    assert taken(MEASURED, model=other)[0] == (None,) * 4


def test_a_shape_of_the_schedule_that_the_model_cannot_take_names_the_schedule():
    def refuse(shape):
        raise InputError("--frames 17: this model takes a multiple of 8 plus 2")

    strict = SimpleNamespace(**{**vars(MODEL), "check_shape": refuse})
    with pytest.raises(InputError, match="plus 2; the schedule was measured on clips"):
        taken(MEASURED, model=strict)
    with pytest.raises(InputError, match=r"plus 2$"):
        taken(model=strict)


def test_schedules_of_different_shapes_need_one_to_be_given():
    other = MEASURED.model_copy(deep=True)
    other.clip.frames = 33
    with pytest.raises(InputError, match="17 x 64 x 64 at 16 fps and 33 x 64 x 64"):
        taken(MEASURED, other, frames=9)
    given = {"frames": 33, "height": 64, "width": 64, "fps": 16.0}
    assert taken(MEASURED, other, **given)[0] == (33, 64, 64, 16.0)
