"""A LoRA gives the same update whichever trainer wrote it.

Files are made from one LoRA by the formats' own rules: names, prefixes, alpha.
"""

import json
from typing import NamedTuple

import pytest
import torch
from safetensors.torch import save_file

from tqd_probe.core.errors import InputError
from tqd_probe.models.load import load_model
from tqd_probe.models.lora_file import METADATA, find_lora_file, read_lora

RANK, ALPHA = 2, 6.0
EXPERT = {"wan_experts": "high"}


class Case(NamedTuple):
    family: str
    style: str  # how layers are named
    alpha: str  # where alpha is stated


CASES = [
    Case("wan", "transformer.{new}", "header"),  # diffusers
    Case("wan", "base_model.model.{new}", "beside"),  # peft
    Case("wan", "{old}.default", "option"),  # DiffSynth
    Case("wan", "pipe.dit.{old}", "option"),
    Case("wan", "diffusion_model.{old}", "tensor"),  # ComfyUI
    Case("wan", "diffusion_model.{old}", "beside"),  # diffusion-pipe
    Case("wan", "lora_unet_{old_}", "tensor"),  # musubi
    Case("wan", "lora_unet__{old_}", "tensor"),  # VideoX-Fun
    Case("wan_image", "lora_unet_{old_}", "kohya"),
    Case("ltx", "diffusion_model.{old}", "option"),  # the LTX trainer
    Case("ltx", "lora_unet_{old_}", "tensor"),
    Case("hunyuan_video", "transformer.{old}", "tensor"),  # diffusion-pipe
    Case("hunyuan_video", "lora_unet_{old_}", "tensor"),  # musubi
    Case("cogvideox", "lora_unet__{new_}", "tensor"),  # VideoX-Fun
    Case("hunyuan_video_15", "base_model.model.{new}", "beside"),
]


@pytest.fixture(scope="module")
def model_of(checkpoint):
    """A family's model, loaded once; tests only read it."""
    made = {}

    def get(name):
        if name not in made:
            made[name] = load_model(str(checkpoint(name)), expert=EXPERT.get(name))
        return made[name]

    return get


def updates(model, style):
    """Random matrices by name in a file, and the update of each layer of diffusers."""
    generator = torch.Generator().manual_seed(3)
    linear = {
        name: module
        for name, module in model.network.named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    old = "{old" in style and model.original_names is not None
    groups = {name: [name] for name in linear}
    if old:
        groups = model.original_names.grouped(linear)
    files, wanted = {}, {}
    for original, names in groups.items():
        if "blocks.0" not in original or "norm" in original or "mod" in original:
            continue
        rows = [linear[name].out_features for name in names]
        columns = linear[names[0]].in_features
        a = torch.randn(RANK, columns, generator=generator)
        b = torch.randn(sum(rows), RANK, generator=generator)
        files[original] = a, b
        wanted |= dict(zip(names, (ALPHA / RANK * b @ a).split(rows)))
    return files, wanted


def write(folder, files, style, alpha):
    pair = ("lora_down", "lora_up") if "lora_unet" in style else ("lora_A", "lora_B")
    state, header = {}, {}
    for name, (a, b) in files.items():
        flat = name.replace(".", "_")
        stem = style.removesuffix(".default")
        key = stem.format(new=name, old=name, new_=flat, old_=flat)
        default = ".default" if style.endswith(".default") else ""
        state[f"{key}.{pair[0]}{default}.weight"] = a
        state[f"{key}.{pair[1]}{default}.weight"] = b
        if alpha == "tensor":
            state[f"{key}.alpha"] = torch.tensor(int(ALPHA))
    if alpha == "header":
        header = {METADATA: json.dumps({"transformer.lora_alpha": ALPHA})}
    if alpha == "kohya":
        header = {"ss_network_alpha": str(ALPHA)}
    if alpha == "beside":
        (folder / "adapter_config.json").write_text(json.dumps({"lora_alpha": ALPHA}))
    save_file(state, folder / "lora.safetensors", header)
    return state


def read(model, folder, **options):
    path = find_lora_file(folder)
    return read_lora(path, model.network, model.original_names, **options)


def found_updates(weights):
    return {
        name: layer.alpha / len(layer.a) * layer.b @ layer.a
        for name, layer in weights.layers.items()
    }


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_the_update_is_the_same_from_every_trainer(case, model_of, tmp_path, caplog):
    model = model_of(case.family)
    files, wanted = updates(model, case.style)
    write(tmp_path, files, case.style, case.alpha)
    given = ALPHA if case.alpha == "option" else None
    found = found_updates(read(model, tmp_path, alpha=given))
    assert set(found) == set(wanted)
    assert len(found) > 5
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value)
    assert not [each for each in caplog.records if each.name == "tqd_probe"]


def test_a_lora_of_attention_alone_is_read(model_of, tmp_path):
    model = model_of("hunyuan_video")
    files, wanted = updates(model, "lora_unet_{old_}")
    some = {name: both for name, both in files.items() if "img_attn_qkv" in name}
    write(tmp_path, some, "lora_unet_{old_}", "tensor")
    found = found_updates(read(model, tmp_path))
    names = [f"transformer_blocks.0.attn.to_{part}" for part in "qkv"]
    assert sorted(found) == sorted(names)
    torch.testing.assert_close(found[names[2]], wanted[names[2]])


def test_without_alpha_the_cure_is_named(model_of, tmp_path, caplog):
    model = model_of("ltx")
    files, wanted = updates(model, "diffusion_model.{old}")
    write(tmp_path, files, "diffusion_model.{old}", "none")
    found = found_updates(read(model, tmp_path))
    name = next(iter(wanted))
    torch.testing.assert_close(found[name], wanted[name] * RANK / ALPHA)
    assert "states no alpha" in caplog.text
    assert "--lora-alpha" in caplog.text


def test_every_layer_may_have_its_own_rank_and_alpha(checkpoint, model_of, tmp_path):
    generator = torch.Generator().manual_seed(3)
    state, wanted = {}, {}
    for name, rank in (("to_q", 1), ("to_k", 3), ("to_v", 3)):
        layer = f"blocks.0.attn1.{name}"
        a = torch.randn(rank, 24, generator=generator)
        b = torch.randn(24, rank, generator=generator)
        state[f"{layer}.lora_A.weight"], state[f"{layer}.lora_B.weight"] = a, b
        state[f"{layer}.alpha"] = torch.tensor(float(len(wanted) + 1))
        wanted[layer] = (len(wanted) + 1) / rank * b @ a
    save_file(state, tmp_path / "lora.safetensors")
    network = load_model(str(checkpoint("wan")), lora=tmp_path).network
    for layer, value in wanted.items():
        found = network.get_submodule(layer).get_delta_weight("default")
        torch.testing.assert_close(found, value)


def test_of_a_lora_for_two_experts_the_expert_s_own_is_read(model_of, tmp_path):
    network = model_of("wan_experts").network
    state = {}
    for number, expert in enumerate(("transformer", "transformer_2")):
        layer = f"{expert}.blocks.0.attn1.to_q"
        state[f"{layer}.lora_A.weight"] = torch.full((1, 24), float(number))
        state[f"{layer}.lora_B.weight"] = torch.ones(24, 1)
    path = tmp_path / "lora.safetensors"
    save_file(state, path)
    for number, expert in enumerate(("transformer", "transformer_2")):
        layer = read_lora(path, network, None, expert).layers["blocks.0.attn1.to_q"]
        assert layer.a.unique().tolist() == [number]
    save_file({k: v for k, v in state.items() if "_2." in k}, path)
    with pytest.raises(InputError, match="choose --expert low"):
        read_lora(path, network, None, "transformer")


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("lora_unet_blocks_0_ffn_0.lokr_w1", "LoKr"),
        ("lora_unet_blocks_0_ffn_0.hada_w1_a", "LoHa"),
        ("blocks.0.attn1.to_q.lora_magnitude_vector", "DoRA"),
        ("diffusion_model.blocks.0.self_attn.q.diff_b", "differences of whole tensors"),
        ("lora_te_text_model_encoder.lora_A.weight", "text encoders is not read"),
        ("blocks.0.attn1.to_q.weight", "given as --ckpt"),
        ("blocks.7.attn1.to_q.lora_A.weight", "trained on this model"),
        ("blocks.0.attn1.to_k.lora_A.weight", "without its other matrix"),
    ],
)
def test_what_is_not_read_is_named(model_of, tmp_path, key, said):
    layer = "blocks.0.attn1.to_q"
    state = {f"{layer}.lora_{x}.weight": torch.ones(24, 24) for x in "AB"}
    save_file({**state, key: torch.ones(24, 24)}, tmp_path / "lora.safetensors")
    with pytest.raises(InputError) as error:
        read(model_of("wan"), tmp_path, alpha=24.0)
    assert said in str(error.value), str(error.value)
    assert key in str(error.value)


def test_original_names_of_a_family_without_a_table_are_refused(model_of, tmp_path):
    key = "diffusion_model.double_blocks.0.img_attn_q.lora_A.weight"
    save_file({key: torch.ones(2, 2)}, tmp_path / "lora.safetensors")
    with pytest.raises(InputError, match="only a LoRA with diffusers' names is read"):
        read(model_of("hunyuan_video_15"), tmp_path)


def test_alpha_that_contradicts_the_file_is_refused(model_of, tmp_path):
    model = model_of("wan")
    files, _ = updates(model, "{new}")
    write(tmp_path, files, "{new}", "tensor")
    with pytest.raises(InputError, match=r"--lora-alpha 8: .* states alpha 6"):
        read(model, tmp_path, alpha=8.0)
    assert read(model, tmp_path, alpha=ALPHA).layers
    write(tmp_path, files, "{new}", "beside")
    (tmp_path / "adapter_config.json").write_text('{"lora_alpha": "some"}')
    with pytest.raises(InputError, match="not a number"):
        read(model, tmp_path)


@pytest.mark.parametrize("names", ["wan", "wan_image", "ltx", "hunyuan_video"])
def test_no_name_means_two_layers(names, model_of):
    model = model_of(names)
    linear = [
        name
        for name, module in model.network.named_modules()
        if isinstance(module, torch.nn.Linear)
    ]
    both = {**model.original_names.grouped(linear)}
    for name in linear:
        assert both.get(name, [name]) == [name]
    assert len({n.replace(".", "_") for n in [*linear, *both]}) == len({*linear, *both})
