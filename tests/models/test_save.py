import json

import pytest
import torch
from diffusers import WanPipeline
from trained_lora import output, output_of, trained

from tqd_probe.core.errors import InputError
from tqd_probe.models.load import load_model
from tqd_probe.models.lora import has_lora


@pytest.fixture
def model(pipeline):
    return load_model(str(pipeline))


def test_save_full_is_a_whole_pipeline(pipeline, model, tmp_path):
    generator = torch.Generator().manual_seed(4)
    for parameter in model.network.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    model.save_full(tmp_path / "full", {"steps": "12"})
    pipe = WanPipeline.from_pretrained(tmp_path / "full")
    assert torch.equal(output_of(model, pipe), output(model))
    again = load_model(str(tmp_path / "full"))
    assert again.native == model.native
    assert again.encoder_fingerprint == model.encoder_fingerprint
    assert again.fingerprint != model.fingerprint
    assert json.loads((tmp_path / "full" / "tqd_probe.json").read_text()) == {
        "steps": "12"
    }
    assert {p.name for p in tmp_path.iterdir()} == {"full"}


def test_save_full_of_a_lora_adds_it_to_the_weights(model, tmp_path):
    trained(model)
    right = output(model)
    model.save_full(tmp_path / "full")
    again = load_model(str(tmp_path / "full"))
    torch.testing.assert_close(output(again), right, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(output(model), right)
    assert has_lora(model.network)


def test_a_failed_save_leaves_nothing(model, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(model.network), "save_pretrained", fail)
    with pytest.raises(InputError, match="No space left"):
        model.save_full(tmp_path / "full")
    assert not list(tmp_path.iterdir())
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("x")
    with pytest.raises(InputError, match="not empty"):
        model.save_full(tmp_path / "taken")
