"""What a clip-gradient costs on a GPU, for published networks of real size.

Networks and autoencoders have the published configurations and random weights; nothing
comes from a network. Times are seconds per clip, peaks count everything in GB. Every
entry has a part of the time that is left, and lives with running out of memory; results
are written after each.

    python -m analyses.cost.gpu              # six minutes at most, on one GPU
    python -m analyses.cost.gpu --small      # all of it at toy sizes, also on a CPU
"""

from __future__ import annotations

import argparse
import gc
import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import diffusers
import torch

from analyses.cost import models
from analyses.cost.published import PUBLISHED, Published, PublishedTask
from analyses.results_file import run_script, study_parser, write_results
from tqd_probe.clips.degradations import Degradation
from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.synthetic import synthetic_clip
from tqd_probe.core.determinism import deterministic
from tqd_probe.core.float32_precision import float32_precision
from tqd_probe.core.library_logging import silence_libraries
from tqd_probe.core.memory import PeakMemory, is_out_of_memory
from tqd_probe.gradients import compiled as compiled_blocks
from tqd_probe.gradients.sketch import DEFAULT_SIZE
from tqd_probe.models.pipeline_encoders import UNTILED_PIXELS
from tqd_probe.probing.encoding import DEFAULT_CLIPS
from tqd_probe.probing.settings import ProbeSettings

FASTEST = ("plain", "floor", "sketched", "exact_norms")
# Those of short passes are also timed as with --exact-resume on.
WAYS = (*FASTEST, *(f"{way}_deterministic" for way in FASTEST[:3]))
LONG_PASS = 3.0  # seconds; such a pass is timed once
VERY_LONG_PASS = 10.0  # seconds; such a pass is its own warming up


@dataclass(frozen=True)
class Entry:
    """A row of the table.

    Attributes:
        model: Name in `PUBLISHED`.
        frames: Frames of a clip; 0 for the native number.
        clips: Clips in a pass.
        checkpointing: Whether gradient checkpointing is on from the start.
        compiled: Time a sketched pass with compiled blocks, over an eager plain pass.
    """

    model: str
    frames: int = 0
    clips: int = 1
    checkpointing: bool = False
    compiled: bool = False

    def __str__(self) -> str:
        """Name the row."""
        more = ", checkpointed" * self.checkpointing + ", compiled" * self.compiled
        return f"{self.model}, {self.frames or 'native'} frames{more}"


SMALL_WAN = "Wan 2.1 T2V 1.3B"
# What matters most comes first.
ENTRIES = (
    Entry(SMALL_WAN, 17, clips=2),
    Entry(SMALL_WAN, 33),
    Entry(SMALL_WAN, 81, checkpointing=True),
    Entry("Wan 2.1 T2V 14B", checkpointing=True),
    Entry(SMALL_WAN, 17, clips=2, compiled=True),
    Entry("LTX-Video 2B"),
    Entry("CogVideoX 2B", checkpointing=True),
)
# Times of autoencoders, by family and clip: networks of a family share one.
_ENCODED: dict[tuple[str, int, int, int], dict[str, Any]] = {}
AUTOENCODERS = {  # of a family: class, what --vae-dtype auto is, small configuration
    "Wan": ("AutoencoderKLWan", "float32", {"base_dim": 8, "num_res_blocks": 1}),
    "CogVideoX": (
        "AutoencoderKLCogVideoX",
        "float32",  # the 2B is stored in float16
        {
            "block_out_channels": (8, 8, 8, 8),
            "layers_per_block": 1,
            "norm_num_groups": 2,
        },
    ),
    "LTXVideo": (
        "AutoencoderKLLTXVideo",
        "bfloat16",
        {
            "block_out_channels": (8, 8, 8, 8),
            "decoder_block_out_channels": (8, 8, 8, 8),
            "layers_per_block": (1, 1, 1, 1, 1),
            "decoder_layers_per_block": (1, 1, 1, 1, 1),
        },
    ),
}
SMALL: dict[str, dict[str, Any]] = {  # changes that make a network small
    "Wan": {"num_attention_heads": 1, "ffn_dim": 64, "num_layers": 1, "text_dim": 32},
    "CogVideoX": {
        "num_attention_heads": 2,
        "num_layers": 1,
        "text_embed_dim": 32,
        "max_text_seq_length": 8,
    },
    "LTXVideo": {
        "num_attention_heads": 2,
        "attention_head_dim": 32,
        "cross_attention_dim": 64,
        "caption_channels": 32,
        "num_layers": 1,
    },
}


class OutOfTime(Exception):
    """An entry took longer than its share."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """End a block after a time.

    Args:
        seconds: The time.

    Yields:
        Nothing.

    Raises:
        OutOfTime: When the time is over.
    """

    def over(number: int, frame: Any) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.01))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def timed(device: str, action: Callable[[], Any], in_a_row: int = 3) -> float:
    """Return the time of an action, after one that warms up.

    Several are launched in a row and waited for once, as a probe launches its passes:
    what the host does before one is hidden by the last.

    Args:
        device: The torch device.
        action: The action.
        in_a_row: How many; one that takes `LONG_PASS` is the last.

    Returns:
        Seconds of one.
    """

    def seconds(count: int) -> float:
        began = time.perf_counter()
        for _ in range(count):
            action()
        if device == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - began) / count

    once = seconds(1)
    if LONG_PASS < once <= VERY_LONG_PASS:
        once = seconds(1)
    return once if once > LONG_PASS else seconds(in_a_row)


def actions_of(task: models.Task, entry: Entry) -> dict[str, Callable[[], Any]]:
    """Return what is timed, by name."""
    if entry.compiled:
        engine = task.engine(DEFAULT_SIZE, pilot=False, compiled=True)
        return {"plain": task.plain, "sketched": task.capturing(engine)}
    engine = task.engine(DEFAULT_SIZE, pilot=False)
    exact = task.engine(DEFAULT_SIZE, exact_norms=True, pilot=False)
    actions = {
        "plain": task.plain,
        "floor": task.floor,
        "sketched": task.capturing(engine),
        "exact_norms": task.capturing(exact),
    }
    if not entry.checkpointing:
        for name in FASTEST[:3]:
            actions[f"{name}_deterministic"] = actions[name]
    return actions


def measure_passes(
    found: dict[str, Any], entry: Entry, model: Published, small: bool, device: str
) -> None:
    """Time an entry's passes into `found`, the most telling ones first."""
    network = model.network(device, **(SMALL[model.kind] if small else {}))
    if entry.checkpointing:
        network.enable_gradient_checkpointing()
    found["parameters"] = sum(p.numel() for p in network.parameters())
    found["checkpointing"] = entry.checkpointing
    latent = (2, 4, 4) if small else model.latent(entry.frames)
    task = PublishedTask(model, network, entry.clips, latent, text=8 if small else 0)
    seconds = found.setdefault("seconds", {})
    peaks = found.setdefault("peak_gb", {})
    actions = actions_of(task, entry)
    for way in sorted(actions, key=lambda name: name not in ("plain", "sketched")):
        exact = way.endswith("_deterministic")
        kernels = deterministic(torch.device(device), found["parameters"], exact)
        network.zero_grad()
        held = torch.cuda.memory_allocated() if device == "cuda" else 0
        try:
            with kernels, PeakMemory(device) as memory:
                if entry.compiled:
                    actions[way]()  # the first pass compiles, and is long
                spent = timed(device, actions[way])
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            found.setdefault("out_of_memory", []).append(way)
            continue
        seconds[way] = spent / entry.clips
        peaks[way] = (held + memory.used) / 1e9


def measure_encoding(
    found: dict[str, Any], entry: Entry, model: Published, small: bool, device: str
) -> None:
    """Time what one version of a clip takes before it is latents, into `found`."""
    name, found["vae_dtype"], changes = AUTOENCODERS[model.kind]
    frames = entry.frames or model.clip[0]
    height, width = model.clip[1:]
    if small:
        frames, height, width = 9, 64, 64
    key = model.kind, frames, height, width
    if key in _ENCODED:
        found |= _ENCODED[key]
        return
    vae = getattr(diffusers, name)(**(changes if small else {})).to(device).eval()
    shape = ClipShape(frames, height, width, 16)
    began = time.perf_counter()
    video = Degradation("blur", 3).apply(synthetic_clip(0), shape, 0)
    found["drawing_and_degrading"] = time.perf_counter() - began
    if video.size // 3 > UNTILED_PIXELS:
        vae.enable_tiling()
    pixels = torch.from_numpy(video).to(device).permute(3, 0, 1, 2)[None] / 127.5 - 1
    seconds = found.setdefault("encoding", {})
    for dtype in (torch.float32, torch.bfloat16):
        vae.to(dtype)
        given = pixels.to(dtype)

        @torch.no_grad()
        def encode(given: torch.Tensor = given) -> None:
            vae.encode(given)

        seconds[str(dtype).removeprefix("torch.")] = timed(device, encode, in_a_row=1)
    names = "drawing_and_degrading", "encoding"
    _ENCODED[key] = {name: found[name] for name in names}


def predict(found: dict[str, Any]) -> dict[str, float]:
    """Predict the time of a full default probe from one entry's times.

    Args:
        found: The entry.

    Returns:
        Seconds of encoding, of capture, and of both. Drawing runs beside encoding.
    """
    settings = ProbeSettings(ckpt="tiny")
    versions = 1 + len(settings.parsed_degradations())
    gradients = DEFAULT_CLIPS * versions * len(settings.sigmas()) * settings.draws
    encoding = DEFAULT_CLIPS * versions * found["encoding"][found["vae_dtype"]]
    capture = gradients * found["seconds"]["sketched"]
    return {"encoding": encoding, "capture": capture, "all": encoding + capture}


def run_entry(entry: Entry, small: bool, device: str, seconds: float) -> dict[str, Any]:
    """Measure one entry within a time, as much of it as can be had.

    Args:
        entry: The entry.
        small: Toy sizes.
        device: The torch device.
        seconds: Time it may take.

    Returns:
        What was measured; ``failed`` says what ended it early.
    """
    model = PUBLISHED[entry.model]
    found: dict[str, Any] = {
        "clips": entry.clips,
        "dtype": str(model.dtype).removeprefix("torch."),
    }
    parts = [measure_passes]
    if not entry.compiled:
        parts.append(measure_encoding)
    try:
        with time_limit(seconds):
            for part in parts:
                part(found, entry, model, small, device)
    except OutOfTime:
        found["failed"] = f"not done after {seconds:.0f} s"
    except Exception as error:
        short = "out of memory" if is_out_of_memory(error) else repr(error)[:300]
        found["failed"] = short
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
    if "sketched" in found.get("seconds", {}):
        found["clips_per_second"] = 1 / found["seconds"]["sketched"]
        if found.get("vae_dtype") in found.get("encoding", {}):
            found["default_probe_seconds"] = predict(found)
    return found


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Return the table in Markdown: seconds per clip, and relative to a plain pass."""
    lines = [
        f"| | {' | '.join(WAYS)} | peak plain, sketched, GB | encoding | clips/s"
        " | default probe, min |",
        "|" + "---|" * (len(WAYS) + 5),
    ]
    for name, row in rows.items():
        seconds, peaks = row.get("seconds", {}), row.get("peak_gb", {})
        cells = [name]
        for way in WAYS:
            shown = f"{seconds[way]:.3f}" if way in seconds else ""
            if shown and "plain" in seconds:
                shown += f" ({seconds[way] / seconds['plain']:.2f})"
            cells.append(shown)
        pair = [f"{peaks[way]:.1f}" for way in ("plain", "sketched") if way in peaks]
        cells.append(", ".join(pair))
        encoding = row.get("encoding", {}).get(row.get("vae_dtype"), float("nan"))
        cells.append(f"{encoding:.2f}")
        cells.append(f"{row.get('clips_per_second', float('nan')):.2f}")
        whole = row.get("default_probe_seconds", {}).get("all", float("nan"))
        cells.append(row.get("failed", f"{whole / 60:.1f}"))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure every entry; write after each."""
    parser = study_parser(__file__, __doc__)
    parser.add_argument("--small", action="store_true", help="toy sizes")
    parser.add_argument("--budget", type=float, default=340, help="seconds in all")
    parser.add_argument("--device", default="", help="torch device (default: a GPU)")
    parser.add_argument("--only", default="", help="entries whose name has this in it")
    args = parser.parse_args()
    silence_libraries()
    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cpu" and not args.small:
        parser.error("there is no GPU; --small runs everything at toy sizes")
    if args.small:
        compiled_blocks.BACKEND = "eager"  # traced; a compiler takes a minute
    rows: dict[str, dict[str, Any]] = {}
    with float32_precision(False):
        measure_all(parser, args, device, rows)
    print(table(rows))


def measure_all(
    parser: argparse.ArgumentParser,
    args: argparse.Namespace,
    device: str,
    rows: dict[str, dict[str, Any]],
) -> None:
    """Measure entries into `rows` and write them after each."""
    card = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    driver = {"device": card, "cuda": torch.version.cuda}
    ends = time.monotonic() + args.budget
    chosen = [entry for entry in ENTRIES if args.only in str(entry)]
    for number, entry in enumerate(chosen):
        left = ends - time.monotonic()
        share = 0.7 * left if number + 1 < len(chosen) else left
        rows[str(entry)] = run_entry(entry, args.small, device, share)
        print(entry, json.dumps(rows[str(entry)]), flush=True)
        write_results(parser, args, {**driver, "rows": rows})


if __name__ == "__main__":
    run_script(main)
