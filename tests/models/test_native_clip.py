from dataclasses import dataclass

import pytest
from damaged_checkpoints import edit, refused

from tqd_probe.clips.shape import ClipShape
from tqd_probe.core.errors import InputError
from tqd_probe.models.load import load_model
from tqd_probe.models.native_clip import clip_shape, native_shape


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda c: {**c, "num_frames": "5"}, "num_frames"),
        (lambda c: {**c, "num_frames": 5.5}, "num_frames"),
        (lambda c: {**c, "height": -32}, "height"),
        (lambda c: {**c, "fps": 0}, "fps"),
        (lambda c: {**c, "heigth": 32}, "heigth"),
        (lambda c: {"height": 32}, "num_frames"),
        (lambda c: [], "content"),
    ],
)
def test_native_clip_faults(copied, change, field):
    edit(copied / "native_clip.json", change)
    refused(copied, f"native_clip.json: {field}:")


@dataclass(frozen=True)
class Options:
    frames: int | None = None
    height: int | None = None
    width: int | None = None
    fps: float | None = None


def test_options_replace_native_values_one_by_one(pipeline):
    model = load_model(str(pipeline))
    assert clip_shape(Options(), model) == ClipShape(5, 32, 32, 16)
    shape = clip_shape(Options(frames=9, width=64, fps=8), model)
    assert shape == ClipShape(9, 32, 64, 8) == model.clip_shape
    with pytest.raises(InputError, match="--frames 6: this model takes a multiple"):
        clip_shape(Options(frames=6), model)


def test_a_checkpoint_without_the_file_has_its_familys_shape(tmp_path):
    default = ClipShape(81, 480, 832, 16)
    assert native_shape(tmp_path, default) == default
    (tmp_path / "native_clip.json").write_text(
        '{"num_frames": 17, "height": 64, "width": 48, "fps": 12.5}'
    )
    assert native_shape(tmp_path, default) == ClipShape(17, 64, 48, 12.5)
