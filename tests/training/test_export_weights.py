import json

import torch
from training_runs import STEPS, options, scheduled, tensors_of

from tqd_probe.models.load import load_model
from tqd_probe.training.train import train
from tqd_probe.training.weight_metadata import read_metadata


def predictions(network):
    torch.manual_seed(0)
    x, text = torch.randn(2, 4, 2, 4, 4), torch.randn(2, 6, 16)
    with torch.no_grad():
        return network.eval()(x, torch.tensor([100.0, 700.0]), text, return_dict=False)[
            0
        ]


def test_full_result_loads_with_the_same_output(straight, pipeline):
    from diffusers import WanPipeline

    pipe = WanPipeline.from_pretrained(straight / "result")
    model = load_model(str(pipeline))
    with torch.no_grad():
        for name, value in tensors_of(straight, "ema").items():
            model.network.get_parameter(name).copy_(value)
    assert torch.equal(predictions(pipe.transformer), predictions(model.network))
    file = next((straight / "result" / "transformer").glob("*.safetensors"))
    found = read_metadata(file)
    assert found["step"] == str(STEPS)
    assert found["seed"] == "0"
    assert json.loads(found["sampler"])["kappa_max"] == 8
    assert found["scores"].startswith("clips.csv sha256:")


def test_lora_round_trip_with_alpha_other_than_rank(
    pipeline, manifest, schedule, tmp_path
):
    """Through the family's own pipeline, by its own loader."""
    from diffusers import WanPipeline

    bands = scheduled(schedule, pipeline, tmp_path / "bands.json")
    values = options(
        pipeline,
        manifest,
        tmp_path / "run",
        full=False,
        lora_rank=2,
        lora_alpha=6,
        lr=0.05,
        steps=4,
        sampler="mixture",
        schedule=bands,
        kappa_max=None,
        ema_decay=0,
        validate_every=0,
        hold_out=0,
    )
    done = train(**values, quiet=True)
    pipe = WanPipeline.from_pretrained(pipeline)
    before = predictions(pipe.transformer)
    pipe.load_lora_weights(done.weights)
    after = predictions(pipe.transformer)
    model = load_model(str(pipeline))
    model.add_lora(2, 6.0)
    with torch.no_grad():
        for name, value in tensors_of(tmp_path / "run").items():
            model.network.get_parameter(name).copy_(value)
    assert abs(after - before).max() > 1e-3
    assert torch.equal(after, predictions(model.network))
    found = read_metadata(done.weights / "pytorch_lora_weights.safetensors")
    assert json.loads(found["schedule"]) == json.loads(bands.read_text())
    assert json.loads(found["sampler"])["sampler"] == "mixture"
    assert found["base_fingerprint"] == model.fingerprint
