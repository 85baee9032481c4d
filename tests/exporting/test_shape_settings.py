"""The shape of training clips, whole or not at all."""

import pytest
from pydantic import ValidationError

from tqd_probe.exporting.shape_settings import VideoShapeSettings
from tqd_probe.exporting.trainer_format import VideoShape


def test_a_shape_is_whole_or_unknown():
    found = VideoShapeSettings(frames=17, height=480, width=832).video_shape()
    assert found == VideoShape(17, 480, 832)
    assert VideoShapeSettings().video_shape() is None
    with pytest.raises(ValidationError, match="go together; give all"):
        VideoShapeSettings(frames=17)
