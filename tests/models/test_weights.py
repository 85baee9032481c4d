import json
import shutil

import pytest
import torch
from damaged_checkpoints import edit, refused, use_all
from safetensors.torch import load_file, save_file

from tqd_probe.core.errors import InputError
from tqd_probe.models.weights import fingerprint


def test_pickled_weights_are_refused(copied):
    file = next((copied / "transformer").glob("*.safetensors"))
    torch.save(load_file(file), copied / "transformer" / "diffusion_pytorch_model.bin")
    file.unlink()
    refused(copied, "diffusion_pytorch_model.bin", "pickled weights are refused")


def test_missing_component(copied):
    shutil.rmtree(copied / "vae")
    refused(copied, "vae", "missing", "copy the whole checkpoint")


@pytest.mark.parametrize("keep", [0, 4, 100, -10])
@pytest.mark.parametrize("component", ["transformer", "vae", "text_encoder"])
def test_truncated_weights(copied, component, keep):
    file = next((copied / component).glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:keep])
    refused(copied, str(file), "again")


def test_weights_that_are_not_safetensors(copied):
    file = next((copied / "vae").glob("*.safetensors"))
    file.write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00[1,2,3] junk")
    refused(copied, str(file), "not a complete safetensors file")


def test_fingerprint_is_of_the_tensors_not_of_the_files(copied):
    folder = copied / "transformer"
    before = fingerprint(folder)
    file = next(folder.glob("*.safetensors"))
    tensors = {name: value.clone() for name, value in load_file(file).items()}
    save_shards(folder, tensors)
    assert fingerprint(folder) == before
    file.write_bytes(b"of an earlier save, or a variant: not loaded")
    assert fingerprint(folder) == before
    tensors[sorted(tensors)[0]].view(-1)[0] += 1e-3
    save_shards(folder, tensors)
    assert fingerprint(folder) != before
    assert before.startswith("sha256:")
    assert len(before) == 71
    (folder / "part-1.safetensors").unlink()
    refused(copied, "part-1.safetensors", "1 of 2 files", "copy the component again")


def save_shards(folder, tensors):
    """Write tensors as two files with an index, as `save_pretrained` does."""
    names = sorted(tensors)
    parts = {name: f"part-{1 + (i % 2)}.safetensors" for i, name in enumerate(names)}
    for part in set(parts.values()):
        some = {name: tensors[name] for name in names if parts[name] == part}
        save_file(some, folder / part, metadata={"format": "pt"})
    index = folder / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": parts}))


def test_the_weights_that_are_loaded_are_fingerprinted(copied):
    """diffusers takes the index before the single file; so does the fingerprint."""
    folder = copied / "transformer"
    file = folder / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    save_shards(folder, {name: 2 * value for name, value in tensors.items()})
    name, value = next(iter(use_all(copied).named_parameters()))
    assert torch.equal(value.detach(), 2 * tensors[name])
    index = json.loads((folder / f"{file.name}.index.json").read_text())
    index["weight_map"] = {}
    (folder / f"{file.name}.index.json").write_text(json.dumps(index))
    refused(copied, "weight_map")


def test_a_variant_alone_is_named(copied):
    file = copied / "vae" / "diffusion_pytorch_model.safetensors"
    file.rename(file.with_name("diffusion_pytorch_model.fp16.safetensors"))
    refused(copied, "fp16.safetensors", "rename it")


def test_whole_numbers_that_older_encoders_stored_are_accepted(copied):
    """transformers once stored position_ids (int64); they are not weights."""
    file = copied / "text_encoder" / "model.safetensors"
    tensors = {name: value.clone() for name, value in load_file(file).items()}
    before = fingerprint(file.parent)
    tensors["embeddings.position_ids"] = torch.arange(4)[None]
    save_file(tensors, file, metadata={"format": "pt"})
    assert fingerprint(file.parent) != before


@pytest.mark.parametrize(
    ("component", "change", "parts"),
    [
        ("transformer", lambda c: {**c, "num_layers": 1}, ("unexpected weights",)),
        ("transformer", lambda c: {**c, "num_layers": 3}, ("transformer",)),
        ("transformer", lambda c: {**c, "ffn_dim": 64}, ("transformer",)),
        ("vae", lambda c: {**c, "z_dim": 8}, ("vae",)),
        ("vae", lambda c: {**c, "_class_name": "Other"}, ("_class_name 'Other'",)),
        ("transformer", lambda c: [], ("config.json", "_class_name")),
    ],
)
def test_configuration_that_does_not_fit_the_weights(copied, component, change, parts):
    edit(copied / component / "config.json", change)
    with pytest.raises(InputError) as error:
        use_all(copied)
    for part in parts:
        assert part in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("component", ["transformer", "vae", "text_encoder"])
def test_missing_tensors_are_not_filled_with_random_numbers(copied, component):
    file = next((copied / component).glob("*.safetensors"))
    tensors = load_file(file)
    tensors.pop(sorted(tensors)[-1])
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(InputError, match=component):
        use_all(copied)


def test_integer_weights_are_refused(copied):
    file = next((copied / "transformer").glob("*.safetensors"))
    tensors = load_file(file)
    name = sorted(tensors)[0]
    tensors[name] = tensors[name].to(torch.int8)
    save_file(tensors, file, metadata={"format": "pt"})
    refused(copied, "type I8", "floating-point")
