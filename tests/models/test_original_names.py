"""The tables of original names against diffusers' own converters, at real size."""

import pytest
import torch
from diffusers import (
    HunyuanVideoTransformer3DModel,
    LTXVideoTransformer3DModel,
    WanTransformer3DModel,
)
from diffusers.loaders import single_file_utils

from tqd_probe.models.original_names import HUNYUAN_VIDEO, LTX, WAN

HUNYUAN_WIDTH = 24 * 128  # diffusers' converter knows no other
CASES = {
    "wan": (
        WAN,
        lambda: WanTransformer3DModel(
            num_layers=1, image_dim=1280, added_kv_proj_dim=5120, pos_embed_seq_len=None
        ),
        single_file_utils.convert_wan_transformer_to_diffusers,
    ),
    "ltx": (
        LTX,
        lambda: LTXVideoTransformer3DModel(num_layers=1),
        single_file_utils.convert_ltx_transformer_checkpoint_to_diffusers,
    ),
    "hunyuan_video": (
        HUNYUAN_VIDEO,
        lambda: HunyuanVideoTransformer3DModel(
            num_layers=1, num_single_layers=1, num_refiner_layers=1
        ),
        single_file_utils.convert_hunyuan_video_transformer_to_diffusers,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_diffusers_converter_undoes_the_renaming(name):
    names, build, convert = CASES[name]
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in build().state_dict().items()}
    # One column of a row number each: order of rows is what splitting may get wrong.
    state = {
        key: torch.arange(shape[0]).float()[:, None] + 10_000 * place
        for place, (key, shape) in enumerate(shapes.items())
    }
    original = names.from_diffusers(state)
    assert not {key for key in original if ".to_q" in key and name != "ltx"}
    places = names.grouped(shapes)
    back = {}
    for key, value in original.items():
        back |= names.split(key, value, places[key], shapes)
    converted = convert(dict(original))
    assert set(back) == set(converted) == set(state)
    for key, value in state.items():
        assert torch.equal(back[key], value), key
        assert torch.equal(converted[key], value), key


def test_names_of_the_published_files():
    assert WAN.place("blocks.3.attn1.to_out.0") == ("blocks.3.self_attn.o", 0)
    assert WAN.place("blocks.3.attn2.add_k_proj") == ("blocks.3.cross_attn.k_img", 0)
    assert LTX.place("time_embed.linear.weight") == ("adaln_single.linear.weight", 0)
    place = HUNYUAN_VIDEO.place("single_transformer_blocks.7.proj_mlp.bias")
    assert place == ("single_blocks.7.linear1.bias", 3)


def test_a_tensor_that_does_not_fill_its_parts_is_left_to_the_loader():
    name = "transformer_blocks.0.attn.to_{}.weight"
    shapes = {name.format(part): (2, 1) for part in "qkv"}
    key = "double_blocks.0.img_attn_qkv.weight"
    assert HUNYUAN_VIDEO.grouped(shapes) == {key: list(shapes)}
    found = HUNYUAN_VIDEO.split(key, torch.zeros(5, 1), list(shapes), shapes)
    assert [len(value) for value in found.values()] == [5, 5, 5]
