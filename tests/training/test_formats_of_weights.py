"""Weights of other programs in, weights for other programs out."""

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from trained_lora import output
from training_runs import fails, options, tensors_of

from tqd_probe.models.load import load_model
from tqd_probe.training.train import train

RANK, ALPHA = 2, 6.0
FEW = {
    "steps": 2,
    "warmup": 0,
    "lr_schedule": "constant",
    "lr": 1e-3,
    "ema_decay": 0,
    "hold_out": 0,
    "validate_every": 0,
    "save_every": 2,
}


def musubi_lora(path):
    """A LoRA of two layers as musubi-tuner names it."""
    generator = torch.Generator().manual_seed(5)
    state = {}
    for name in ("blocks_0_self_attn_q", "blocks_1_ffn_0"):
        rows = 32 if "ffn" in name else 24
        down = torch.randn(RANK, 24, generator=generator)
        state[f"lora_unet_{name}.lora_down.weight"] = down
        state[f"lora_unet_{name}.lora_up.weight"] = torch.randn(
            rows, RANK, generator=generator
        )
        state[f"lora_unet_{name}.alpha"] = torch.tensor(ALPHA)
    save_file(state, path)
    return state


def test_training_goes_on_with_a_lora_and_saves_it_for_comfyui(
    pipeline, manifest, tmp_path
):
    file = tmp_path / "given.safetensors"
    given = musubi_lora(file)
    # The network's own weights come from a single file, too.
    model = load_model(str(pipeline))
    net = model.original_names.from_diffusers(model.network.state_dict())
    save_file(net, tmp_path / "net.safetensors")
    values = options(tmp_path / "net.safetensors", manifest, tmp_path / "run", **FEW)
    values |= {"full": False, "init_lora": str(file), "save_keys": "comfyui"}
    values["pipeline"] = str(pipeline)
    done = train(**values, quiet=True)
    trained = tensors_of(tmp_path / "run")
    assert len(trained) == 4
    moved = trained["blocks.0.attn1.to_q.lora_A.default.weight"]
    gap = (moved - given["lora_unet_blocks_0_self_attn_q.lora_down.weight"]).abs()
    assert 0 < float(gap.max()) <= 2.1 * FEW["lr"]
    saved = load_file(done.weights / "pytorch_lora_weights.safetensors")
    key = "diffusion_model.blocks.1.ffn.0"
    assert float(saved[f"{key}.alpha"]) == ALPHA
    assert saved[f"{key}.lora_A.weight"].shape == (RANK, 24)
    before = load_model(str(pipeline), lora=file)
    after = load_model(str(pipeline), lora=done.weights)
    with torch.no_grad():
        for name, value in trained.items():
            before.network.get_parameter(name).copy_(value)
    assert torch.equal(output(after), output(before))
    again = dict(after.network.named_parameters())
    for name, value in trained.items():  # nothing is lost on the way
        assert torch.equal(again[name], value), name


def test_a_network_trained_in_full_is_saved_for_comfyui(pipeline, manifest, tmp_path):
    values = options(
        pipeline, manifest, tmp_path / "run", **{**FEW, "save_keys": "comfyui"}
    )
    done = train(**values, quiet=True)
    file = done.weights / "diffusion_model.safetensors"
    with safe_open(file, "pt") as handle:
        assert "blocks.0.self_attn.q.weight" in set(handle.keys())
        assert handle.metadata()["tqd_probe.step"] == "2"
    found = load_model(str(file), pipeline=str(pipeline)).network
    for name, value in tensors_of(tmp_path / "run").items():
        assert torch.equal(found.get_parameter(name), value), name


def test_what_contradicts_the_lora_is_refused(
    pipeline, checkpoint, manifest, tmp_path, capsys
):
    file = tmp_path / "given.safetensors"
    musubi_lora(file)
    values = options(pipeline, manifest, tmp_path / "run", init_lora=file, **FEW)
    fails(capsys, values, "--full", "--init-lora")
    del values["full"]
    fails(capsys, {**values, "lora_targets": "to_q"}, "--lora-targets")
    fails(capsys, {**values, "lora_rank": 4}, "--lora-rank 4", "has rank 2")
    fails(capsys, {**values, "lora_alpha": 4}, "--lora-alpha 4", "states alpha 6")
    fails(capsys, {**values, "init_lora": tmp_path / "no"}, "--init-lora", "no such")
    other = {**values, "ckpt": checkpoint("cogvideox")}
    fails(capsys, other, "--init-lora", "have no place in the network")
    del other["init_lora"]
    fails(capsys, {**other, "save_keys": "comfyui"}, "--save-keys", "cogvideox")
    assert not (tmp_path / "run").exists()
