"""How a family's original code names the weights that diffusers renames.

Checkpoints of the authors, ComfyUI and most trainers of LoRAs keep the original names.
The tables here turn diffusers' names into these; read backwards over the names that a
network really has, they serve whole files, files of some layers only, and names whose
dots became underscores. diffusers' own converters go one way, and want every layer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Fused:
    r"""Layers of diffusers that are one layer in the original code, one upon the other.

    Attributes:
        layers: Regular expression of their names; the part is the group ``part``.
        original: Name of the one layer, with ``\1`` for the first group.
        parts: The parts in the order of the one layer's outputs.
    """

    layers: str
    original: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class OriginalNames:
    """The original names of a family's weights.

    Attributes:
        renamed: Pairs of a regular expression and its replacement, applied to a name
            of diffusers one after the other.
        fused: Layers that are one in the original code.
        swapped: Layers of diffusers whose outputs are two halves (scale, shift) that
            stand the other way round in the original code.
    """

    renamed: tuple[tuple[str, str], ...]
    fused: tuple[Fused, ...] = ()
    swapped: tuple[str, ...] = ()

    def place(self, name: str) -> tuple[str, int]:
        """Return the original name of a layer or tensor.

        Args:
            name: Its name in diffusers.

        Returns:
            The original name, and the number of its part in it: 0 for most.
        """
        for fused in self.fused:
            match = re.match(fused.layers, name)
            if match:
                original = match.expand(fused.original) + name[match.end() :]
                return original, fused.parts.index(match["part"])
        for pattern, replacement in self.renamed:
            name = re.sub(pattern, replacement, name)
        return name, 0

    def grouped(self, names: Iterable[str]) -> dict[str, list[str]]:
        """List the names of diffusers that make up each original one.

        Args:
            names: Names of layers or tensors in diffusers.

        Returns:
            By original name the names in diffusers, in the order of their outputs.
        """
        found: dict[str, list[tuple[int, str]]] = {}
        for name in names:
            original, part = self.place(name)
            found.setdefault(original, []).append((part, name))
        return {key: [name for _, name in sorted(some)] for key, some in found.items()}

    def swap(self, name: str, value: torch.Tensor) -> torch.Tensor:
        """Turn a tensor's halves round where the two codes differ in that.

        Args:
            name: Name of the tensor or its layer in diffusers.
            value: The tensor, in either code.

        Returns:
            The tensor in the other one.
        """
        if any(name == layer or name.startswith(layer + ".") for layer in self.swapped):
            return torch.cat(value.chunk(2)[::-1])
        return value

    def split(
        self,
        original: str,
        value: torch.Tensor,
        parts: list[str],
        shapes: Mapping[str, Sequence[int]],
    ) -> Tensors:
        """Rename a tensor, and split it where diffusers has several.

        Args:
            original: Its original name.
            value: The tensor.
            parts: Its names in diffusers (`grouped`).
            shapes: Shapes of the network's tensors by name in diffusers.

        Returns:
            Tensors by name in diffusers; the whole tensor for each part where it does
            not fill the parts.
        """
        if len(parts) == 1:
            return {parts[0]: self.swap(parts[0], value)}
        rows = [shapes[name][0] for name in parts]
        fits = sum(rows) == len(value)
        return dict(zip(parts, value.split(rows) if fits else [value] * len(rows)))

    def from_diffusers(self, state: Mapping[str, torch.Tensor]) -> Tensors:
        """Rename and join tensors (`split` undoes it).

        Args:
            state: All tensors of a network, by name in diffusers.

        Returns:
            Tensors by original name.
        """
        return {
            original: torch.cat([self.swap(name, state[name]) for name in names])
            if names != [original]
            else state[original]
            for original, names in self.grouped(state).items()
        }


WAN = OriginalNames(
    renamed=(
        (r"^condition_embedder\.time_embedder\.linear_1\b", "time_embedding.0"),
        (r"^condition_embedder\.time_embedder\.linear_2\b", "time_embedding.2"),
        (r"^condition_embedder\.text_embedder\.linear_1\b", "text_embedding.0"),
        (r"^condition_embedder\.text_embedder\.linear_2\b", "text_embedding.2"),
        (r"^condition_embedder\.time_proj\b", "time_projection.1"),
        (r"^condition_embedder\.image_embedder\.norm1\b", "img_emb.proj.0"),
        (r"^condition_embedder\.image_embedder\.ff\.net\.0\.proj\b", "img_emb.proj.1"),
        (r"^condition_embedder\.image_embedder\.ff\.net\.2\b", "img_emb.proj.3"),
        (r"^condition_embedder\.image_embedder\.norm2\b", "img_emb.proj.4"),
        (r"^condition_embedder\.image_embedder\.pos_embed\b", "img_emb.emb_pos"),
        (r"^scale_shift_table\b", "head.modulation"),
        (r"^proj_out\b", "head.head"),
        (r"^(blocks\.\d+)\.scale_shift_table\b", r"\1.modulation"),
        (r"^(blocks\.\d+)\.norm2\b", r"\1.norm3"),
        (r"^(blocks\.\d+)\.ffn\.net\.0\.proj\b", r"\1.ffn.0"),
        (r"^(blocks\.\d+)\.ffn\.net\.2\b", r"\1.ffn.2"),
        (r"^(blocks\.\d+)\.attn1\b", r"\1.self_attn"),
        (r"^(blocks\.\d+)\.attn2\b", r"\1.cross_attn"),
        (r"\.norm_added_k\b", ".norm_k_img"),
        (r"\.add_([kv])_proj\b", r".\1_img"),
        (r"\.to_([qkv])\b", r".\1"),
        (r"\.to_out\.0\b", ".o"),
    )
)
LTX = OriginalNames(
    renamed=(
        (r"^proj_in\b", "patchify_proj"),
        (r"^time_embed\b", "adaln_single"),
        (r"\.norm_([qk])\b", r".\1_norm"),
    )
)
_REFINER = r"context_embedder\.token_refiner\.refiner_blocks\.(\d+)"
HUNYUAN_VIDEO = OriginalNames(
    fused=(
        Fused(
            rf"^{_REFINER}\.attn\.(?P<part>to_[qkv])\b",
            r"txt_in.individual_token_refiner.blocks.\1.self_attn_qkv",
            ("to_q", "to_k", "to_v"),
        ),
        Fused(
            r"^transformer_blocks\.(\d+)\.attn\.(?P<part>to_[qkv])\b",
            r"double_blocks.\1.img_attn_qkv",
            ("to_q", "to_k", "to_v"),
        ),
        Fused(
            r"^transformer_blocks\.(\d+)\.attn\.(?P<part>add_[qkv]_proj)\b",
            r"double_blocks.\1.txt_attn_qkv",
            ("add_q_proj", "add_k_proj", "add_v_proj"),
        ),
        Fused(
            r"^single_transformer_blocks\.(\d+)\.(?:attn\.)?(?P<part>to_[qkv]|proj_mlp)\b",
            r"single_blocks.\1.linear1",
            ("to_q", "to_k", "to_v", "proj_mlp"),
        ),
    ),
    renamed=(
        (rf"^{_REFINER}\b", r"txt_in.individual_token_refiner.blocks.\1"),
        (r"^(txt_in\..*)\.attn\.to_out\.0\b", r"\1.self_attn_proj"),
        (r"^(txt_in\..*)\.ff\.net\.0\.proj\b", r"\1.mlp.fc1"),
        (r"^(txt_in\..*)\.ff\.net\.2\b", r"\1.mlp.fc2"),
        (r"^(txt_in\..*)\.norm_out\.linear\b", r"\1.adaLN_modulation.1"),
        (r"^context_embedder\.proj_in\b", "txt_in.input_embedder"),
        (
            r"^context_embedder\.time_text_embed\.timestep_embedder\.linear_1\b",
            "txt_in.t_embedder.mlp.0",
        ),
        (
            r"^context_embedder\.time_text_embed\.timestep_embedder\.linear_2\b",
            "txt_in.t_embedder.mlp.2",
        ),
        (r"^context_embedder\.time_text_embed\.text_embedder\b", "txt_in.c_embedder"),
        (r"^x_embedder\b", "img_in"),
        (r"^time_text_embed\.timestep_embedder\.linear_1\b", "time_in.mlp.0"),
        (r"^time_text_embed\.timestep_embedder\.linear_2\b", "time_in.mlp.2"),
        (r"^time_text_embed\.guidance_embedder\.linear_1\b", "guidance_in.mlp.0"),
        (r"^time_text_embed\.guidance_embedder\.linear_2\b", "guidance_in.mlp.2"),
        (r"^time_text_embed\.text_embedder\.linear_1\b", "vector_in.in_layer"),
        (r"^time_text_embed\.text_embedder\.linear_2\b", "vector_in.out_layer"),
        (r"^norm_out\.linear\b", "final_layer.adaLN_modulation.1"),
        (r"^proj_out\b", "final_layer.linear"),
        (r"^single_transformer_blocks\.(\d+)\.proj_out\b", r"single_blocks.\1.linear2"),
        (
            r"^single_transformer_blocks\.(\d+)\.norm\.linear\b",
            r"single_blocks.\1.modulation.linear",
        ),
        (
            r"^single_transformer_blocks\.(\d+)\.attn\.norm_([qk])\b",
            r"single_blocks.\1.\2_norm",
        ),
        (r"^transformer_blocks\b", "double_blocks"),
        (r"^(double_blocks\.\d+)\.attn\.to_out\.0\b", r"\1.img_attn_proj"),
        (r"^(double_blocks\.\d+)\.attn\.to_add_out\b", r"\1.txt_attn_proj"),
        (r"^(double_blocks\.\d+)\.attn\.norm_([qk])\b", r"\1.img_attn_\2_norm"),
        (r"^(double_blocks\.\d+)\.attn\.norm_added_([qk])\b", r"\1.txt_attn_\2_norm"),
        (r"^(double_blocks\.\d+)\.norm1\.linear\b", r"\1.img_mod.linear"),
        (r"^(double_blocks\.\d+)\.norm1_context\.linear\b", r"\1.txt_mod.linear"),
        (r"^(double_blocks\.\d+)\.ff\.net\.0\.proj\b", r"\1.img_mlp.fc1"),
        (r"^(double_blocks\.\d+)\.ff\.net\.2\b", r"\1.img_mlp.fc2"),
        (r"^(double_blocks\.\d+)\.ff_context\.net\.0\.proj\b", r"\1.txt_mlp.fc1"),
        (r"^(double_blocks\.\d+)\.ff_context\.net\.2\b", r"\1.txt_mlp.fc2"),
    ),
    swapped=("norm_out.linear",),
)
