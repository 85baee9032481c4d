"""Read a LoRA from whichever trainer wrote it.

Trainers name layers as diffusers does or as the original code does, with dots or with
underscores, behind prefixes of their own, and state alpha in a tensor per layer, in the
header, in a file beside, or nowhere. A layer's name is looked up among the names that
the network's layers have in either code, so that a LoRA of any part of it is read.
"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft.utils.other import get_pattern_key
from safetensors import safe_open
from safetensors.torch import load_file

from tqd_probe.core.errors import InputError
from tqd_probe.core.files import digest, file_digest, read_json
from tqd_probe.core.known_files import beside, refuse_other_kinds
from tqd_probe.models.original_names import OriginalNames
from tqd_probe.models.weights import WEIGHT_TYPES, read_header

FILE = "pytorch_lora_weights.safetensors"
METADATA = "lora_adapter_metadata"  # diffusers'
A_LORA = "a LoRA, a .safetensors file or a folder with one"
PEFT_CONFIG = "adapter_config.json"  # peft's, beside the weights
MATRIX = re.compile(
    r"(?P<layer>.+)\.(?:lora_(?P<one>A|B|down|up)(?:\.[A-Za-z_]\w*)?|lora\.(?P<two>down"
    r"|up))\.weight"
)
ALPHA = re.compile(r"(?P<layer>.+)\.alpha")
PREFIXES = (
    "base_model.model.",  # peft
    "model.diffusion_model.",
    "diffusion_model.",  # ComfyUI, diffusion-pipe, the LTX trainer
    "pipe.dit.",  # DiffSynth
    "transformer_2.",  # diffusers
    "transformer.",
    "dit.",
)
UNDERSCORES = re.compile(r"(?:lora_unet|lora_transformer|lycoris)_+(?P<layer>.+)")
OTHER_KINDS = {
    r"\.hada_": "LoHa (LyCORIS)",
    r"\.lokr_": "LoKr (LyCORIS)",
    r"\.oft_|\.boft_": "OFT",
    r"dora_scale|lora_magnitude_vector": "DoRA",
    r"\.lora_mid\b": "LoRA of convolutions (LoCon)",
    r"\.lora_(down|up)\.\d": "LoRA of split layers",
    r"\.diff(_b)?$|\.lora_[AB]\..*bias$|\.set_weight$": "differences of whole tensors",
}
MERGE = "merge it into the checkpoint with the program it comes from, and give that"
log = logging.getLogger("tqd_probe")


@dataclass(frozen=True)
class LoraLayer:
    """The LoRA of one linear layer: its update is ``(alpha / rank) B A``.

    Attributes:
        a: ``[rank, inputs]``.
        b: ``[outputs, rank]``.
        alpha: None where the file does not say.
    """

    a: torch.Tensor
    b: torch.Tensor
    alpha: float | None


@dataclass(frozen=True)
class LoraWeights:
    """A LoRA, by the names of diffusers.

    Attributes:
        layers: By name of the linear layer.
        rank_stabilised: The scale is ``alpha / sqrt(rank)``.
    """

    layers: dict[str, LoraLayer]
    rank_stabilised: bool = False


def find_lora_file(path: str | Path, option: str = "--lora") -> Path:
    """Find the weight file of a LoRA.

    Args:
        path: A safetensors file, or a folder with one.
        option: The option that names it, for messages.

    Returns:
        The file; its header and length were checked.

    Raises:
        InputError: If there is none or several, or it is damaged or pickled.
    """
    place = Path(path)

    def cure(kind: str) -> str:
        if kind == "pickle":
            return "only .safetensors is read: save it so"
        if kind == "pipeline":
            return f"a pipeline is given as --ckpt; {option} takes {A_LORA}"
        result = beside(place / "result", FILE) if place.is_dir() else None
        return f"give {result or A_LORA}"

    if place.is_dir():
        found = sorted(place.glob("*.safetensors"))
        if (place / FILE) in found:
            found = [place / FILE]
        if len(found) != 1:
            refuse_other_kinds(place, {"folder"}, cure)
            raise InputError(
                f"{option} {path}: {len(found)} safetensors files in the folder, none"
                f" called {FILE}; name the file"
            )
        place = found[0]
    if not place.is_file():
        raise InputError(f"{option} {path}: no such file or folder; correct the path")
    refuse_other_kinds(place, {"LoRA", "weights"}, cure)
    if place.suffix != ".safetensors":
        raise InputError(
            f"{option} {path}: only .safetensors is read, pickled weights are refused;"
            f" give {A_LORA}"
        )
    header, _ = read_header(place, kinds=None)
    if not header:
        raise InputError(f"{option} {path}: holds no tensors; give {A_LORA}")
    for name, entry in header.items():
        if entry["dtype"] not in WEIGHT_TYPES and not ALPHA.fullmatch(name):
            raise InputError(
                f"{option} {path}: {name}: of type {entry['dtype']}; only a LoRA in"
                " floating point is read"
            )
    return place


def fingerprint_with_lora(fingerprint: str, file: Path, alpha: float | None) -> str:
    """Return the fingerprint of weights that have a LoRA on them.

    Args:
        fingerprint: That of the weights alone.
        file: The LoRA's weight file.
        alpha: The alpha that is given where the file states none.

    Returns:
        ``sha256:`` and a hash.
    """
    files = [each for each in (file, file.parent / PEFT_CONFIG) if each.is_file()]
    parts = [fingerprint, *map(file_digest, files)]
    return "sha256:" + digest(parts if alpha is None else [*parts, repr(alpha)])


def read_lora(
    path: Path,
    network: torch.nn.Module,
    names: OriginalNames | None,
    component: str = "transformer",
    alpha: float | None = None,
    option: str = "--lora",
) -> LoraWeights:
    """Read a LoRA for a network.

    Args:
        path: The file (`find_lora_file`).
        network: The network, without a LoRA.
        names: Names of its layers in the original code; None: diffusers' are read.
        component: Name of the network in its pipeline; of a LoRA for two experts its
            layers alone are read.
        alpha: Alpha of a file that states none.
        option: The option that names the file, for messages.

    Returns:
        The LoRA.

    Raises:
        InputError: If the file is no LoRA that can be read, or of another network, or
            states another alpha.
    """
    where = f"{option} {path}"
    state = _of_component(load_file(path), component, where)
    linear = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    find = layer_finder(list(linear), names)
    matrices: dict[str, dict[str, tuple[str, torch.Tensor]]] = {}
    alphas: dict[str, float] = {}
    lost = []
    for key, value in state.items():
        match = MATRIX.fullmatch(key) or ALPHA.fullmatch(key)
        if match is None:
            _refuse_kind(where, key)
        layer = match["layer"] if match else key
        if match is None or not find(layer):
            lost.append(key)
        elif match.re is ALPHA:
            alphas[layer] = float(value)
        else:
            kind = match["one"] or match["two"]
            kind = {"down": "A", "up": "B"}.get(kind, kind)
            matrices.setdefault(layer, {})[kind] = key, value
    if lost or not matrices:
        shown = lost[0] if lost else "nothing in it"
        raise InputError(
            f"{where}: {len(lost)} of {len(state)} tensors have no place in the network"
            f" (such as {shown}); {_cure(lost, names)}"
        )
    stated, stabilised = _stated_alpha(path, component, where)
    layers: dict[str, LoraLayer] = {}
    for layer, both in matrices.items():
        if set(both) != {"A", "B"}:
            key = next(iter(both.values()))[0]
            raise InputError(f"{where}: {key}: without its other matrix; copy it again")
        found = find(layer)
        outputs = [linear[name].out_features for name in found]
        (key_a, a), (key_b, b) = both["A"], both["B"]
        rank = len(a)
        for key, value, right in (
            (key_a, a, (rank, linear[found[0]].in_features)),
            (key_b, b, (sum(outputs), rank)),
        ):
            if tuple(value.shape) != right:
                raise InputError(
                    f"{where}: {key}: shape {list(value.shape)} where the network takes"
                    f" {list(right)}; use a LoRA that was trained on this model"
                )
            if not bool(torch.isfinite(value).all()):
                raise InputError(
                    f"{where}: {key}: not finite; use a LoRA that was trained on this"
                    " model"
                )
        for name, rows in zip(found, b.float().split(outputs)):
            layers[name] = LoraLayer(
                a=a.float().clone(),
                b=rows.clone(),
                alpha=alphas.get(layer, stated(name)),
            )
    return LoraWeights(_with_alpha(layers, alpha, where, option), stabilised)


def layer_finder(
    linear: list[str], names: OriginalNames | None
) -> Callable[[str], list[str]]:
    """Make a function that finds a network's layers by the name in a file.

    Args:
        linear: Names of the network's linear layers.
        names: Their names in the original code.

    Returns:
        From a name with any of the known prefixes to the layers it stands for: several
        for one that the original code fuses, none for an unknown name.
    """
    known = {name: [name] for name in linear}
    if names is not None:
        known = {**names.grouped(linear), **known}
    flat = {name.replace(".", "_"): layers for name, layers in known.items()}

    def find(layer: str) -> list[str]:
        match = UNDERSCORES.fullmatch(layer)
        if match:
            return flat.get(match["layer"], [])
        while layer not in known:
            prefix = next((p for p in PREFIXES if layer.startswith(p)), None)
            if prefix is None:
                return []
            layer = layer.removeprefix(prefix)
        return known[layer]

    return find


def _of_component(
    state: dict[str, torch.Tensor], component: str, where: str
) -> dict[str, torch.Tensor]:
    """Leave the layers of the other expert out of a LoRA for both (diffusers)."""
    experts = {"transformer", "transformer_2"}
    whose = {key: key.split(".", 1)[0] for key in state}
    if "transformer_2" not in whose.values() or component not in experts:
        return state
    kept = {key: value for key, value in state.items() if whose[key] == component}
    if not kept:
        raise InputError(
            f"{where}: holds layers of transformer_2 alone, the expert of low noise"
            " levels; choose --expert low"
        )
    return kept


def _refuse_kind(where: str, key: str) -> None:
    for pattern, kind in OTHER_KINDS.items():
        if re.search(pattern, key):
            raise InputError(f"{where}: {key}: {kind} is not read; {MERGE} as --ckpt")


def _cure(lost: list[str], names: OriginalNames | None) -> str:
    """Say what could be read instead."""
    text = " ".join(lost)
    originals = r"self_attn|double_blocks|single_blocks|attention\.dense|img_attn|_qkv"
    if names is None and re.search(originals, text):
        return (
            "they are named as in the family's original code, which is read for Wan,"
            " LTX and HunyuanVideo; of this family only a LoRA with diffusers' names is"
            " read: save it so in the trainer"
        )
    if any(re.match(r"lora_te|text_encoder", key) for key in lost):
        return "a LoRA of text encoders is not read: train without them"
    if lost and not any(MATRIX.fullmatch(key) for key in lost):
        return "it is not a LoRA; the weights of a whole network are given as --ckpt"
    return "use a LoRA that was trained on this model"


def _stated_alpha(
    path: Path, component: str, where: str
) -> tuple[Callable[[str], float | None], bool]:
    """Read alpha in the header or beside the file; a function of the layer's name."""
    with safe_open(path, "pt") as handle:
        header = handle.metadata() or {}
    config: Any = {}
    if METADATA in header:
        try:
            flat = dict(json.loads(header[METADATA]))
        except ValueError:
            raise InputError(
                f"{where}: {METADATA} in its metadata is not JSON; save it again"
            ) from None
        for prefix in ("", "transformer.", component + "."):
            start = len(prefix)
            some = {k[start:]: v for k, v in flat.items() if k.startswith(prefix)}
            config.update(some)
    elif (path.parent / PEFT_CONFIG).is_file():
        beside = path.parent / PEFT_CONFIG
        config = read_json(beside, "a configuration of peft")
        if not isinstance(config, dict):
            raise InputError(f"{beside}: not a configuration of peft; copy it again")
    elif "ss_network_alpha" in header:  # kohya's
        config = {"lora_alpha": header["ss_network_alpha"]}
    if config.get("use_dora"):
        raise InputError(f"{where}: DoRA is not read; {MERGE} as --ckpt")
    whole, patterns = config.get("lora_alpha"), config.get("alpha_pattern") or {}

    def stated(layer: str) -> float | None:
        value = patterns.get(get_pattern_key(list(patterns), layer), whole)
        try:
            return None if value in (None, "None") else float(value)
        except (TypeError, ValueError):
            raise InputError(
                f"{where}: alpha {value!r} in its metadata is not a number; save it"
                " again"
            ) from None

    return stated, bool(config.get("use_rslora"))


def _with_alpha(
    layers: Mapping[str, LoraLayer], alpha: float | None, where: str, option: str
) -> dict[str, LoraLayer]:
    """Give alpha to layers of which the file states none."""
    differing = {x.alpha for x in layers.values()} - {None, alpha}
    if alpha is not None and differing:
        raise InputError(
            f"--lora-alpha {alpha:g}: {where.removeprefix(option + ' ')} states alpha"
            f" {sorted(filter(None, differing))[0]:g}; leave the option out"
        )
    if alpha is None and any(layer.alpha is None for layer in layers.values()):
        log.warning(
            "%s: states no alpha; taken as its rank, as in diffusers; if the trainer"
            " used another, give it as --lora-alpha",
            where,
        )
    found = {}
    for name, layer in layers.items():
        value = layer.alpha
        if value is None:
            value = float(len(layer.a)) if alpha is None else alpha
        found[name] = LoraLayer(layer.a, layer.b, value)
    return found


def most_common(values: list[Any]) -> Any:
    """Return the value that occurs most often.

    Args:
        values: Values, at least one.

    Returns:
        The first of these.
    """
    return Counter(values).most_common(1)[0][0]
