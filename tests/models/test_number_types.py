import json

import pytest
import torch
from safetensors.torch import save_file

from tqd_probe.core.errors import InputError
from tqd_probe.models.load import TINY, load_model
from tqd_probe.models.number_types import choose_dtype, stored_types

MANY = 1000  # numbers of a component that is not small


@pytest.fixture
def with_bf16(monkeypatch):
    monkeypatch.setattr("tqd_probe.models.number_types.has_bf16", lambda _: True)
    monkeypatch.setattr("tqd_probe.models.number_types.SMALL", 4 * MANY)


def component(folder, *kinds, numbers=MANY):
    folder.mkdir()
    for index, kind in enumerate(kinds):
        weights = {f"w{index}": torch.zeros(numbers, dtype=kind)}
        save_file(weights, folder / f"{index}.safetensors")
    files = {f"w{index}": f"{index}.safetensors" for index in range(len(kinds))}
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": files})
    )
    return folder


def test_what_is_asked_for_is_taken_and_nothing_else_is_known(tmp_path):
    for name in ("fp32", "bf16"):
        assert choose_dtype("--dtype", name, "cuda", tmp_path / "none") == name
    with pytest.raises(InputError, match="--dtype fp8: choose from auto, fp32, bf16"):
        choose_dtype("--dtype", "fp8", "cpu", tmp_path)


def test_a_cpu_computes_in_float32_and_reads_no_weights(tmp_path):
    assert choose_dtype("--dtype", "auto", "cpu", tmp_path / "none") == "fp32"


@pytest.mark.parametrize(
    ("kinds", "numbers", "expected"),
    [
        ([torch.bfloat16], 10, "bf16"),
        ([torch.bfloat16, torch.float32], 10, "bf16"),
        ([torch.float32], MANY, "bf16"),  # says nothing: Wan 2.1 is stored so
        ([torch.float32], 10, "fp32"),  # bf16 gains nothing
        ([torch.float16], MANY, "fp32"),  # bf16 would round: CogVideoX 2B
        ([torch.float16, torch.float32], 10, "fp32"),
    ],
)
def test_a_gpu_computes_in_bf16_unless_the_weights_say_otherwise(
    tmp_path, with_bf16, kinds, numbers, expected
):
    folder = component(tmp_path / "transformer", *kinds, numbers=numbers)
    assert choose_dtype("--dtype", "auto", "cuda", folder) == expected


def test_a_gpu_without_bf16_computes_in_float32(tmp_path, monkeypatch):
    monkeypatch.setattr("tqd_probe.models.number_types.has_bf16", lambda _: False)
    folder = component(tmp_path / "transformer", torch.bfloat16, numbers=10)
    assert choose_dtype("--dtype", "auto", "cuda", folder) == "fp32"


def test_types_are_read_from_all_files(tmp_path):
    folder = component(tmp_path / "x", torch.bfloat16, torch.float32, numbers=7)
    assert stored_types(folder) == ({"BF16", "F32"}, 7 * 2 + 7 * 4)
    assert stored_types(TINY / "transformer")[0] == {"F32"}


def test_a_model_is_loaded_in_the_type_that_auto_means(pipeline):
    assert load_model(str(pipeline), dtype="auto").spec.dtype == torch.float32
