"""Load a checkpoint with the adapter of the class that `model_index.json` names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from tqd_probe.core.devices import resolve_device
from tqd_probe.core.errors import InputError
from tqd_probe.core.files import read_json
from tqd_probe.core.known_files import refuse_other_kinds
from tqd_probe.models import hub
from tqd_probe.models.base import VideoModel
from tqd_probe.models.checkpoint_spec import CheckpointSpec
from tqd_probe.models.families.cogvideox import CogVideoXModel
from tqd_probe.models.families.hunyuan_video import HunyuanVideoModel
from tqd_probe.models.families.hunyuan_video15 import HunyuanVideo15Model
from tqd_probe.models.families.ltx import LTXModel
from tqd_probe.models.families.wan import WanModel
from tqd_probe.models.families.wan_i2v import WanImageModel
from tqd_probe.models.lora_file import FILE as LORA_FILE
from tqd_probe.models.lora_file import find_lora_file
from tqd_probe.models.number_types import DTYPES, choose_dtype
from tqd_probe.models.placement import Placement
from tqd_probe.models.quantisation import check_quantisation
from tqd_probe.models.single_file import find_weights

TINY = Path(__file__).parent / "tiny"
FAMILIES: dict[str, type[Any]] = {  # of `PipelineModel`
    "CogVideoXPipeline": CogVideoXModel,
    "HunyuanVideo15Pipeline": HunyuanVideo15Model,
    "HunyuanVideoPipeline": HunyuanVideoModel,
    "LTXPipeline": LTXModel,
    "WanImageToVideoPipeline": WanImageModel,
    "WanPipeline": WanModel,
}


def checkpoint_path(ckpt: str, option: str = "--ckpt") -> Path:
    """Resolve the name of a checkpoint to its directory.

    Args:
        ckpt: A diffusers pipeline directory, a hub id such as
            ``Wan-AI/Wan2.1-T2V-1.3B-Diffusers``, or ``tiny`` for the shipped one.
        option: The option that names it, for messages.

    Returns:
        The pipeline directory.

    Raises:
        InputError: If there is no such directory, or it holds no pipeline.
    """
    path = TINY if ckpt == "tiny" else Path(ckpt)
    if path == TINY and Path("tiny/model_index.json").is_file():
        raise InputError(
            f"{option} tiny: is the name of the shipped checkpoint and of a pipeline"
            " here; write ./tiny for that, or work in another folder"
        )
    if hub.is_hub_id(ckpt):
        path = hub.download(ckpt, option)
    if not path.exists():
        raise InputError(
            f"{option} {ckpt}: no such directory; give a diffusers pipeline directory,"
            " a hub id owner/name, or 'tiny' for the one that ships with the package"
        )
    _refuse_other_kinds(path, option)
    if not ckpt or not path.is_dir():
        raise InputError(
            f"{option} {ckpt!r}: not a directory; give a diffusers pipeline directory"
        )
    if not (path / "model_index.json").is_file():
        raise InputError(
            f"{option} {ckpt}: no model_index.json in it, so it is not a diffusers"
            " pipeline; save one with pipeline.save_pretrained(DIR)"
        )
    return path


def _refuse_other_kinds(path: Path, option: str) -> None:
    """Refuse a file or folder that is known to be no pipeline, and say what it is."""

    def cure(kind: str) -> str:
        result = path / "result"
        if kind == "train folder" and (result / "model_index.json").is_file():
            return f"give {result}"
        if kind == "train folder" and (result / LORA_FILE).is_file():
            return f"give its LoRA as --lora {result}, beside the {option} of that run"
        if kind == "LoRA":
            return f"give it as --lora, and what it was trained on as {option}"
        if kind == "weights":
            return "give it as --ckpt, and a diffusers pipeline as --pipeline"
        return "give a diffusers pipeline directory"

    refuse_other_kinds(path, {"pipeline", "folder"}, cure)


def open_index(
    ckpt: str, pipeline: str | None = None
) -> tuple[Path, dict[str, Any], str]:
    """Find a checkpoint, and read which pipeline it is of.

    Args:
        ckpt: A diffusers pipeline directory, a hub id, or ``tiny``.
        pipeline: The same, where `ckpt` is a file of weights.

    Returns:
        The pipeline directory, the content of its `model_index.json`, and the name of
        its class, one of `FAMILIES`.

    Raises:
        InputError: If there is no checkpoint, or its class has no adapter.
    """
    if pipeline is None:
        path = checkpoint_path(ckpt)
    else:
        path = checkpoint_path(pipeline, "--pipeline")
    index: Any = read_json(path / "model_index.json", "a diffusers pipeline index")
    name = index.get("_class_name") if isinstance(index, dict) else None
    if not isinstance(name, str) or name not in FAMILIES:
        raise InputError(
            f"{path / 'model_index.json'}: _class_name {name!r} has no adapter; known"
            f" pipeline classes: {', '.join(sorted(FAMILIES))}"
        )
    return path, index, name


def choose_types(
    path: Path,
    class_name: str,
    device: str,
    dtype: str,
    vae_dtype: str,
    weights: Sequence[Path] = (),
) -> tuple[str, str]:
    """Choose the number types of a checkpoint's network and of its autoencoder.

    Args:
        path: The pipeline directory.
        class_name: Name of its class, one of `FAMILIES`.
        device: The torch device.
        dtype: ``auto``, ``fp32`` or ``bf16`` for the network (`choose_dtype`).
        vae_dtype: The same for the autoencoder; ``auto`` is ``bf16`` only for families
            with `Encoders.vae_takes_bf16`.
        weights: Files of the network's weights, where the pipeline's are not read.

    Returns:
        ``fp32`` or ``bf16`` for each.
    """
    if vae_dtype == "auto" and not FAMILIES[class_name].vae_takes_bf16:
        vae_dtype = "fp32"
    return (
        choose_dtype("--dtype", dtype, device, weights or path / "transformer"),
        choose_dtype("--vae-dtype", vae_dtype, device, path / "vae"),
    )


def load_model(
    ckpt: str,
    device: str = "cpu",
    dtype: str | torch.dtype = "fp32",
    lora: str | Path | None = None,
    expert: str | None = None,
    fuse_lora: bool = False,
    vae_dtype: str = "fp32",
    quantise: str = "none",
    placement: Placement = "whole",
    lora_alpha: float | None = None,
    pipeline: str | None = None,
) -> VideoModel:
    """Load a checkpoint.

    Weight files are checked now and loaded at first use, so that text encoder,
    autoencoder and network need not be in memory together.

    Args:
        ckpt: A diffusers pipeline directory, a hub id, or ``tiny``; with `pipeline` a
            safetensors file of the network's weights.
        device: Torch device of the network; ``auto``: a GPU if there is one.
        dtype: ``fp32``, ``bf16`` or a torch type for the network and text encoders;
            ``auto``: by device and checkpoint (`number_types.choose_dtype`).
        lora: A LoRA of any trainer, a safetensors file or a folder with one. Only its
            parameters are probed and trained.
        expert: ``high`` or ``low``, for checkpoints with two networks.
        fuse_lora: Merge the LoRA into the weights, which are then probed.
        vae_dtype: ``fp32``, ``bf16`` or ``auto`` for the autoencoder.
        quantise: ``none``, or how the network's linear layers are quantised as they
            are loaded: ``int8``, ``fp8`` or ``nf4``.
        placement: ``offloaded``: weights of blocks are on the device only while their
            block runs, which needs gradient checkpointing; ``sharded``: divided over
            the connected processes.
        lora_alpha: Alpha of a LoRA whose file states none.
        pipeline: A diffusers pipeline directory, a hub id, or ``tiny``, that lends
            configuration, text encoder and autoencoder to a checkpoint that is a file
            of the network's weights.

    Returns:
        The adapter of the family that `model_index.json` names.

    Raises:
        InputError: If the checkpoint or the LoRA is missing, damaged, pickled, or of
            a class without an adapter; or if the device, or what the quantisation
            needs, is not available.
    """
    files = find_weights(ckpt, pipeline)
    path, index, name = open_index(ckpt, pipeline)
    if device == "auto":
        device = resolve_device(device)
    try:
        torch.ones(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"--device {device}: not available ({reason})") from error
    given = dtype if isinstance(dtype, str) else "fp32"
    types = choose_types(path, name, device, given, vae_dtype, files)
    if fuse_lora and lora is None:
        raise InputError("--fuse-lora: there is no LoRA to fuse; give --lora PATH")
    if lora_alpha is not None and lora is None:
        raise InputError("--lora-alpha: there is no LoRA; give --lora PATH")
    weights = None if lora is None else find_lora_file(lora)
    place, source = torch.device(device), ckpt if files else str(path)
    check_quantisation(quantise, place)
    if quantise == "nf4" and placement != "whole":
        raise InputError(
            "--quantise nf4: its weights stay on the GPU; leave out --offload and"
            " --shard, or use --quantise int8 --offload"
        )
    if hub.is_hub_id(ckpt):
        source = ckpt
    spec = CheckpointSpec(
        path=path,
        weights=files,
        source=source,
        index=index,
        device=place,
        dtype=DTYPES[types[0]] if isinstance(dtype, str) else dtype,
        vae_dtype=DTYPES[types[1]],
        lora=weights,
        lora_alpha=lora_alpha,
        fuse_lora=fuse_lora,
        expert=expert,
        quantise=quantise,
        placement=placement,
    )
    return FAMILIES[name](spec)
