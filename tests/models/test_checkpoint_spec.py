from dataclasses import FrozenInstanceError

import pytest
import torch

from tqd_probe.models.load import load_model


def test_a_model_keeps_how_it_was_loaded(pipeline):
    spec = load_model(str(pipeline), dtype="bf16").spec
    assert (spec.path, spec.source) == (pipeline, str(pipeline))
    assert spec.index["_class_name"] == "WanPipeline"
    assert (spec.device, spec.dtype) == (torch.device("cpu"), torch.bfloat16)
    assert spec.vae_dtype == torch.float32
    assert (spec.lora, spec.fuse_lora, spec.expert) == (None, False, None)
    with pytest.raises(FrozenInstanceError):
        spec.expert = "high"
