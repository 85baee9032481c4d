import pytest

from tqd_probe.models.load import load_model


@pytest.fixture(scope="module")
def model(pipeline):
    return load_model(str(pipeline))


def test_encoders_are_released(model):
    model.encode_caption("x")
    assert model._encoders is not None
    model.release_encoders()
    assert model._encoders is None
