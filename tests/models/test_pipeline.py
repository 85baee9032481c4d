import pytest

from tqd_probe.clips.shape import ClipShape
from tqd_probe.core.errors import InputError
from tqd_probe.models.load import load_model


@pytest.fixture(scope="module")
def model(pipeline):
    return load_model(str(pipeline))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (ClipShape(6, 32, 32, 16), "--frames 6: this model takes a multiple of 4 plus"),
        (ClipShape(5, 40, 32, 16), "--height 40: this model takes multiples of 16"),
        (ClipShape(5, 32, 8, 16), "--width 8: this model takes multiples of 16"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(model, shape, message):
    with pytest.raises(InputError, match=message):
        model.check_shape(shape)
