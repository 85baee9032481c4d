"""Memory of one clip at its native size, by calculation.

Weights are counted on the meta device from the configurations of the published
checkpoints; activations by `tqd_probe.models.activation_memory`. No weights are
downloaded and nothing is measured here.

    python -m analyses.cost.memory_per_clip
"""

from __future__ import annotations

from typing import Any

import diffusers
import torch

from analyses.results_file import run_script, study_parser, write_results
from tqd_probe.core.library_logging import silence_libraries
from tqd_probe.models.activation_memory import activation_bytes

SMALL = {"num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30}
TI2V = {
    "num_attention_heads": 24,
    "ffn_dim": 14336,
    "num_layers": 30,
    "in_channels": 48,
    "out_channels": 48,
}
I2V = {"in_channels": 36, "image_dim": 1280, "added_kv_proj_dim": 5120}
COG5B = {
    "num_attention_heads": 48,
    "num_layers": 42,
    "use_rotary_positional_embeddings": True,
}
# name: class, what differs from its defaults, native clip (frames, height, width),
# compression and patch in time and space, text tokens
MODELS: dict[str, tuple[str, dict[str, Any], tuple[int, ...], tuple[int, ...], int]] = {
    "Wan 2.1 T2V 1.3B": ("Wan", SMALL, (81, 480, 832), (4, 8, 1, 2), 512),
    "Wan 2.1 T2V 14B": ("Wan", {}, (81, 480, 832), (4, 8, 1, 2), 512),
    "Wan 2.1 I2V 14B": ("Wan", I2V, (81, 480, 832), (4, 8, 1, 2), 769),
    "Wan 2.2 T2V A14B (one expert)": ("Wan", {}, (81, 480, 832), (4, 8, 1, 2), 512),
    "Wan 2.2 TI2V 5B": ("Wan", TI2V, (121, 704, 1280), (4, 16, 1, 2), 512),
    "CogVideoX 2B": ("CogVideoX", {}, (49, 480, 720), (4, 8, 1, 2), 226),
    "CogVideoX 5B": ("CogVideoX", COG5B, (49, 480, 720), (4, 8, 1, 2), 226),
    "LTX-Video 2B": ("LTXVideo", {}, (161, 512, 704), (8, 32, 1, 1), 128),
    "HunyuanVideo": ("HunyuanVideo", {}, (129, 720, 1280), (4, 8, 1, 2), 256),
    "HunyuanVideo-1.5": ("HunyuanVideo15", {}, (121, 480, 848), (4, 16, 1, 1), 1985),
}


def main() -> None:
    """Count weights and activations of every published model."""
    parser = study_parser(__file__, __doc__)
    args = parser.parse_args()
    silence_libraries()
    rows = {}
    for name, (kind, changes, clip, unit, text) in MODELS.items():
        cls = getattr(diffusers, f"{kind}Transformer3DModel")
        with torch.device("meta"):
            network = cls(**changes).to(torch.bfloat16)
        frames = ((clip[0] - 1) // unit[0] + 1) // unit[2]
        side = unit[1] * unit[3]
        tokens = frames * (clip[1] // side) * (clip[2] // side)
        parameters = sum(p.numel() for p in network.parameters())
        plain, less = (
            activation_bytes(network, tokens, text, checkpointing=c)
            for c in (False, True)
        )
        rows[name] = {
            "clip": list(clip),
            "tokens": tokens,
            "parameters": parameters,
            "weights_gb": round(2 * parameters / 1e9, 2),
            "activations_gb": round(plain / 1e9, 1),
            "activations_checkpointed_gb": round(less / 1e9, 1),
            "gradient_of_all_parameters_gb": round(4 * parameters / 1e9, 1),
        }
        row = rows[name]
        print(
            f"| {name} | {'x'.join(map(str, clip))} | {tokens} |"
            f" {parameters / 1e9:.2f} | {row['weights_gb']} | {row['activations_gb']} |"
            f" {row['activations_checkpointed_gb']} |"
            f" {row['gradient_of_all_parameters_gb']} |"
        )
    write_results(parser, args, {"models": rows})


if __name__ == "__main__":
    run_script(main)
