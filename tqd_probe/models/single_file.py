"""Networks in files without a pipeline: loaded from one or the authors' shards; saved.

The names are diffusers' or the original code's, behind ComfyUI's prefix or none; a
pipeline lends the configuration. ComfyUI's scaled fp8 is multiplied by its scales.
The result is what `from_pretrained` makes of the same weights. `from_single_file` of
diffusers 0.42 is not: in bf16 it rounds what the class keeps in float32 (Wan), it does
not quantise, and it knows one width of HunyuanVideo. Its converters are what
`original_names` is tested against.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from safetensors import safe_open
from safetensors.torch import save_file

from tqd_probe.core.errors import InputError
from tqd_probe.core.files import staged
from tqd_probe.core.known_files import refuse_other_kinds
from tqd_probe.models.lora import merged_state
from tqd_probe.models.original_names import OriginalNames
from tqd_probe.models.weights import (
    FP8,
    PICKLES,
    WEIGHT_TYPES,
    read_header,
    weight_files,
)

WEIGHTS = "diffusion_model.safetensors"  # what `save_network` is given
READ = {*WEIGHT_TYPES, *FP8}
PREFIXES = ("model.diffusion_model.", "diffusion_model.", "transformer.", "")
SCALES = (".scale_weight", ".weight_scale")  # ComfyUI's, the older and the newer
# Of ComfyUI's fast products in fp8, and its markers; nothing to do with the weights.
IGNORED = (".scale_input", ".input_scale", ".comfy_quant", "scaled_fp8")
log = logging.getLogger("tqd_probe")


def find_weights(ckpt: str, pipeline: str | None) -> tuple[Path, ...]:
    """Find the files of weights that are not in a pipeline's directory.

    Args:
        ckpt: A safetensors file, or a folder of shards with their index.
        pipeline: Pipeline that lends the rest; None: there is none.

    Returns:
        The files, their headers and lengths checked; none where `ckpt` is a pipeline
        itself.

    Raises:
        InputError: If the file is of another kind or damaged, or there is no pipeline
            for it, or one too many.
    """
    path = Path(ckpt)
    suffix = path.suffix.lower()
    if suffix == ".gguf":
        raise InputError(
            f"--ckpt {ckpt}: GGUF holds codes that cannot be probed or trained; use the"
            " .safetensors of the same model, with --quantise int8 or fp8 to hold it in"
            " 8 bits"
        )
    if f"*{suffix}" in PICKLES and not path.is_dir():
        raise InputError(
            f"--ckpt {ckpt}: pickled weights are refused; save them as .safetensors"
        )
    if path.is_file():
        refuse_other_kinds(path, {"weights"}, _instead_of)
    whole = (path / "model_index.json").is_file()
    if suffix != ".safetensors" and (pipeline is None or not path.is_dir() or whole):
        if pipeline is not None:
            raise InputError(
                f"--pipeline {pipeline}: lends what a file of weights lacks, and --ckpt"
                f" {ckpt} is no such file; leave it out, or give a .safetensors file"
            )
        return ()
    if pipeline is None:
        raise InputError(
            f"--ckpt {ckpt}: holds weights alone; give --pipeline DIR, a diffusers"
            " pipeline of the same model, for configuration, text encoder and"
            " autoencoder"
        )
    files = weight_files(path) if path.is_dir() else [path]
    for file in files:
        if not file.is_file():
            raise InputError(f"--ckpt {ckpt}: no such file")
        header, _ = read_header(file, kinds=None)
        if not header:
            raise InputError(
                f"--ckpt {file}: holds no tensors; give the file of a network's weights"
            )
        for name, entry in header.items():
            _check_type(file, name, entry["dtype"])
    return tuple(files)


def _instead_of(kind: str) -> str:
    """Say what to give as a checkpoint instead of a file of another kind."""
    if kind == "LoRA":
        return "give it as --lora, and the checkpoint that it was trained on as --ckpt"
    return (
        "give a diffusers pipeline directory, or a .safetensors file of a network's"
        " weights with --pipeline"
    )


def _check_type(file: Path, name: str, kind: str) -> None:
    if kind not in READ and not name.endswith(IGNORED):
        raise InputError(
            f"--ckpt {file}: {name}: of type {kind}, which is not read; use the file in"
            " bf16, fp16 or scaled fp8"
        )


def load_network(
    cls: Any,
    files: tuple[Path, ...],
    config: Path,
    names: OriginalNames | None,
    dtype: torch.dtype,
    quantisation: dict[str, Any] | None = None,
) -> Any:
    """Load a network from files of weights.

    Args:
        cls: The network's class in diffusers.
        files: The files (`find_weights`).
        config: Folder of the configuration.
        names: Names of the family's original code; None: diffusers' are read.
        dtype: The computing type; weights of the class's `_keep_in_fp32_modules` are
            float32.
        quantisation: Options for loading quantised (`loading_options`).

    Returns:
        The network, in evaluation mode.

    Raises:
        InputError: If the weights do not fill the network, or a scale is missing.
    """
    with init_empty_weights():
        network = cls.from_config(cls.load_config(config, local_files_only=True))
    shapes = {name: tuple(v.shape) for name, v in network.state_dict().items()}
    where = f"--ckpt {files[0] if len(files) == 1 else files[0].parent}"
    keep = set(cls._keep_in_fp32_modules or ())
    state: dict[str, torch.Tensor] = {}
    for name, value in _tensors(files, shapes, names, where):
        _check_shape(where, config, name, tuple(value.shape), shapes)
        kind = torch.float32 if keep & set(name.split(".")) else dtype
        state[name] = value.to(kind).contiguous()
    missing = [name for name in shapes if name not in state]
    if missing:
        raise InputError(
            f"{where}: {len(missing)} of {len(shapes)} weights of the network are"
            f" missing, such as {missing[0]}; {_cure(config, names)}"
        )
    if quantisation:
        return _quantised(network, state, dtype, quantisation, where)
    network.load_state_dict(state, assign=True)
    if cls._keep_in_fp32_modules is None:  # as from_pretrained does: buffers as well
        network.to(dtype)
    network.requires_grad_(True)
    return network.eval()


def save_network(
    path: Path,
    network: torch.nn.Module,
    names: OriginalNames,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write a network's weights into one file, with the names of the original code.

    Args:
        path: The file to write.
        network: The network; a LoRA is merged.
        names: Names of the family's original code.
        metadata: Where the weights come from, for the file's header.

    Returns:
        The file.

    Raises:
        InputError: If it cannot be written.
    """
    state = names.from_diffusers(merged_state(network))
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    with staged(path) as part:
        save_file(tensors, part, metadata={**(metadata or {}), "format": "pt"})
    return path


def _quantised(
    network: Any,
    state: dict[str, torch.Tensor],
    dtype: torch.dtype,
    options: dict[str, Any],
    where: str,
) -> Any:
    """Fill a network and quantise it, by diffusers' parts of `from_pretrained`.

    `from_single_file` takes weights for quantised ones, and leaves them as they are.

    Returns:
        The network, in evaluation mode.

    Raises:
        InputError: If a library cannot quantise them.
    """
    from diffusers.models.model_loading_utils import load_model_dict_into_meta
    from diffusers.quantizers import DiffusersAutoQuantizer

    devices = options.get("device_map", {"": "cpu"})
    keep = list(network._keep_in_fp32_modules or ())
    try:
        quantiser = DiffusersAutoQuantizer.from_config(
            options["quantization_config"], pre_quantized=False
        )
        quantiser.validate_environment(torch_dtype=dtype)
        dtype = quantiser.update_torch_dtype(dtype)
        quantiser.preprocess_model(
            model=network, device_map=devices, keep_in_fp32_modules=keep
        )
        load_model_dict_into_meta(
            network,
            state,  # type: ignore[arg-type]
            dtype=dtype,
            hf_quantizer=quantiser,
            keep_in_fp32_modules=keep,
            device_map={"": torch.device(devices[""])},
        )
        quantiser.postprocess_model(network)
    except Exception as error:  # libraries raise many types
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{where}: cannot be quantised ({type(error).__name__}: {reason}); leave"
            " out --quantise"
        ) from error
    network.hf_quantizer = quantiser
    return network.eval()


def _tensors(
    files: tuple[Path, ...],
    shapes: dict[str, tuple[int, ...]],
    names: OriginalNames | None,
    where: str,
) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the network's tensors by name in diffusers, one after the other."""
    handles = [safe_open(file, "pt") for file in files]
    held = {key: handle for handle in handles for key in handle.keys()}  # noqa: SIM118
    prefix = next(p for p in PREFIXES if any(key.startswith(p) for key in held))
    others = [key for key in held if not key.startswith(prefix)]
    others = [key for key in others if not key.endswith(IGNORED)]
    if others:
        log.warning(
            "%s: %d tensors of other components (such as %s) are left; these come from"
            " --pipeline",
            where,
            len(others),
            others[0],
        )
    keys = {key.removeprefix(prefix): key for key in held if key.startswith(prefix)}
    scaled = any(key.endswith(("scaled_fp8", *SCALES)) for key in held)
    original = {} if names is None else names.grouped(shapes)
    if len(original.keys() & keys.keys()) <= len(shapes.keys() & keys.keys()):
        original = {}  # diffusers' names
    for short, key in keys.items():
        if short.endswith((*SCALES, *IGNORED)):
            continue
        value = held[key].get_tensor(key)
        if value.dtype in FP8.values():
            scale = _scale(held, key, value, where, scaled)
            value = value.float() if scale is None else value.float() * scale
        parts = original.get(short, [short])
        if names is None or parts == [short]:
            yield short, value
        else:
            yield from names.split(short, value, parts, shapes).items()


def _scale(
    held: dict[str, Any], key: str, value: torch.Tensor, where: str, scaled: bool
) -> torch.Tensor | None:
    """Return the factor of an fp8 tensor; None in a file that has no scales."""
    stem = key.removesuffix(".weight")
    marker = stem + ".comfy_quant"
    if marker in held:
        stated = json.loads(bytes(held[marker].get_tensor(marker).tolist()))
        if not str(stated.get("format", "")).startswith("float8"):
            raise InputError(
                f"{where}: {key}: format {stated.get('format')!r} of ComfyUI is not"
                " read; use the file in bf16 or scaled fp8"
            )
    found = [stem + end for end in SCALES if stem + end in held]
    if not found:
        if scaled:
            raise InputError(
                f"{where}: {key}: scaled fp8 without its scale ({stem}{SCALES[0]});"
                " download the file again"
            )
        return None
    factor = held[found[0]].get_tensor(found[0]).float().flatten()
    if len(factor) not in (1, len(value)):
        raise InputError(
            f"{where}: {found[0]}: {len(factor)} scales for {len(value)} rows; one per"
            " tensor or one per row is read; use the file in bf16"
        )
    return factor.reshape(-1, *[1] * (value.ndim - 1)) if value.ndim else factor[0]


def _check_shape(
    where: str,
    config: Path,
    name: str,
    shape: tuple[int, ...],
    shapes: dict[str, tuple[int, ...]],
) -> None:
    if name not in shapes:
        raise InputError(
            f"{where}: {name}: has no place in the network of {config}/config.json;"
            " give the --pipeline of the same model"
        )
    if shape != shapes[name]:
        raise InputError(
            f"{where}: {name}: shape {list(shape)}, and {list(shapes[name])} by"
            f" {config}/config.json; give the --pipeline of the same model"
        )


def _cure(config: Path, names: OriginalNames | None) -> str:
    if names is None:
        return (
            "of this family a file with diffusers' names is read, of Wan, LTX and"
            " HunyuanVideo one with the original names, too"
        )
    return f"give the --pipeline of the same model ({config} is of another)"
