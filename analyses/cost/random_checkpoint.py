"""Write Wan 2.1 1.3B with random weights as a pipeline, to run whole probes on.

Network and autoencoder have the published configuration. The text encoder has one
layer of the published width, since a probe reads each caption once. Takes 4 GB of disk;
nothing comes from a network.

    python -m analyses.cost.random_checkpoint wan-1.3b
    python -m tqd_probe.gradsim --ckpt wan-1.3b --frames 17 --height 480 --width 832
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from analyses.cost.published import PUBLISHED
from analyses.results_file import run_script, script_parser
from tqd_probe.core.library_logging import silence_libraries
from tqd_probe.models.load import TINY

MODEL = "Wan 2.1 T2V 1.3B"
TEXT_WIDTH = 4096
SMALL = {"num_attention_heads": 1, "ffn_dim": 64, "num_layers": 1}
SMALL_VAE: dict[str, Any] = {"base_dim": 8, "num_res_blocks": 1}


def write_checkpoint(folder: Path, device: str, small: bool = False) -> None:
    """Write the pipeline.

    Args:
        folder: Where to.
        device: Torch device on which weights are drawn.
        small: One narrow block, and a narrow autoencoder.
    """
    model = PUBLISHED[MODEL]
    network = model.network(device, **(SMALL if small else {})).cpu()
    torch.manual_seed(0)
    vae = diffusers.AutoencoderKLWan(**(SMALL_VAE if small else {}))
    tokenizer = transformers.AutoTokenizer.from_pretrained(TINY / "tokenizer")
    config = transformers.UMT5Config(
        vocab_size=len(tokenizer), d_model=TEXT_WIDTH, d_ff=64, num_layers=1
    )
    encoder = transformers.UMT5EncoderModel(config).bfloat16()
    scheduler = diffusers.UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    )
    parts = (tokenizer, encoder, network, vae, scheduler)
    names = ("tokenizer", "text_encoder", "transformer", "vae", "scheduler")
    index: dict[str, Any] = {"_class_name": "WanPipeline"}
    for name, part in zip(names, parts):
        part.save_pretrained(folder / name)
        library = "transformers" if part in (tokenizer, encoder) else "diffusers"
        index[name] = [library, type(part).__name__]
    index["tokenizer"] = ["transformers", "T5TokenizerFast"]
    (folder / "model_index.json").write_text(json.dumps(index, indent=1))


def main() -> None:
    """Write the checkpoint that the command line names."""
    parser = script_parser(__file__, __doc__)
    parser.add_argument("folder", type=Path, help="where to write the pipeline")
    parser.add_argument("--device", default="", help="torch device (default: a GPU)")
    parser.add_argument("--small", action="store_true", help="toy sizes")
    args = parser.parse_args()
    silence_libraries()
    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    write_checkpoint(args.folder, device, args.small)


if __name__ == "__main__":
    run_script(main)
