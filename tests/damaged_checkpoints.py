"""Damaged checkpoints: files edited, and refusals expected."""

import json

import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.models.load import load_model


def refused(ckpt, *parts):
    with pytest.raises(InputError) as error:
        load_model(str(ckpt))
    text = str(error.value)
    assert "\n" not in text
    for part in parts:
        assert part in text, text


def edit(path, change):
    value = json.loads(path.read_text())
    path.write_text(json.dumps(change(value)))


def use_all(ckpt):
    model = load_model(str(ckpt))
    model.encode_caption("x")
    return model.network
