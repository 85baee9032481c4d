"""Checkpoints that trainings start from."""

import pytest
import torch

from tqd_probe.core.errors import InputError
from tqd_probe.models.load import load_model


def test_wide_start_is_wider_and_loads(tmp_path):
    from analyses.worth.start_checkpoints import start_checkpoint
    from tqd_probe.models.load import load_model

    narrow = load_model("tiny", "cpu").network
    wide = load_model(start_checkpoint("wide", tmp_path, None), "cpu").network
    assert wide.config.num_attention_heads == 6
    count = [sum(p.numel() for p in each.parameters()) for each in (narrow, wide)]
    assert 1.8 < count[1] / count[0] < 2.4


def test_the_large_network_is_above_fifteen_million_parameters():
    from analyses.tiny.parts import LARGE_HEADS, new_transformer

    with torch.device("meta"):
        network = new_transformer(LARGE_HEADS)
    assert sum(p.numel() for p in network.parameters()) == 18_156_062


def test_a_wider_network_starts_from_its_own_step_file(tmp_path):
    from analyses.tiny.parts import (
        WIDE_HEADS,
        new_text_encoder,
        new_tokenizer,
        new_transformer,
    )
    from analyses.tiny.step_files import step_file
    from analyses.worth.start_checkpoints import HALF_STEP, start_checkpoint

    with pytest.raises(InputError, match=r"heads6-step-01000.pt.*--stage wide"):
        start_checkpoint("wide-half", tmp_path, tmp_path)
    torch.manual_seed(7)
    network = new_transformer(WIDE_HEADS)
    encoder = new_text_encoder(len(new_tokenizer()))
    state = {"model": network.state_dict(), "encoder": encoder.state_dict()}
    torch.save(state, step_file(tmp_path, HALF_STEP, WIDE_HEADS))
    found = load_model(start_checkpoint("wide-half", tmp_path / "work", tmp_path))
    name = "blocks.4.ffn.net.2.weight"
    assert found.network.state_dict()[name].shape == (192, 576)
    assert torch.equal(found.network.state_dict()[name], network.state_dict()[name])


def test_the_half_trained_cogvideox_is_found_or_how_to_make_it(tmp_path):
    from analyses.worth.start_checkpoints import start_checkpoint

    with pytest.raises(InputError, match=r"train_cogvideox .*--steps 1000"):
        start_checkpoint("cogvideox-half", tmp_path, tmp_path)
    made = tmp_path / "cogvideox-half"
    made.mkdir()
    (made / "model_index.json").write_text("{}")
    assert start_checkpoint("cogvideox-half", tmp_path, tmp_path) == str(made)
