"""The probe: from clips and a checkpoint to what statistics need per noise level.

`prepare` opens everything; `run` (`passes.py`) captures gradients; `self_check`
(`selfcheck.py`) compares the engine with the oracle.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

from tqdm import tqdm

from tqd_probe.adaptive import stopping_rule
from tqd_probe.clips.base import Clip
from tqd_probe.clips.degradations import Degradation, check_frames, parse_degradations
from tqd_probe.clips.shape import ClipShape
from tqd_probe.clips.source import open_clips, refuse_copies
from tqd_probe.draws import Probe, draw_batch, draw_losses
from tqd_probe.errors import BadClip, InputError
from tqd_probe.files import digest
from tqd_probe.gradients.layout import Layout, make_layout
from tqd_probe.gradients.sketch import DEFAULT_SIZE, SPLITS, Sketch
from tqd_probe.models.base import VideoModel
from tqd_probe.models.encode import ClipEncoder, default_cache, encode_clips
from tqd_probe.models.load import load_model
from tqd_probe.passes import run
from tqd_probe.processes import Processes
from tqd_probe.rundir import describe, run_directory, shared_claim
from tqd_probe.selfcheck import self_check
from tqd_probe.settings import RunSettings

__all__ = [
    "Probe",
    "clip_shape",
    "draw_batch",
    "draw_losses",
    "prepare",
    "run",
    "self_check",
]
DEFAULT_CLIPS = 24
EXACT_BELOW = 2_000_000  # probed parameters: --sketch auto
log = logging.getLogger("tqd_probe")


def prepare(settings: RunSettings, quiet: bool = False) -> Probe:
    """Open the checkpoint, encode the clips, claim the run directory.

    Args:
        settings: The run's settings.
        quiet: Show no progress bars.

    Returns:
        The probe, ready to run.

    Raises:
        InputError: If the checkpoint, the clips or an option is at fault.
    """
    degradations = parse_degradations(settings.degradations)
    who = Processes.joined(settings.device)
    model = load_model(settings.ckpt, who.device(settings.device), settings.dtype)
    shape = clip_shape(settings, model)
    model.check_shape(shape)
    check_frames(degradations, shape)
    limit = settings.num_clips
    if limit is None and settings.clips == "synthetic":
        limit = DEFAULT_CLIPS
    found = open_clips(settings.clips, limit, settings.seed)
    if len(found.golden) < 4:
        raise InputError(
            f"--clips {settings.clips}: {len(found.golden)} golden clips, at least 4"
            " are needed to tell signal from noise; add clips"
        )
    refuse_copies(settings.clips, found.golden)
    for name, others in found.others.items():
        log.warning("%d clips of class %s are not probed", len(others), name)
    cache = settings.cache or default_cache()
    encoder = ClipEncoder(model, shape, settings.seed, cache)
    share_encoding(encoder, found.golden, degradations, who)
    total = len(found.golden) * (1 + len(degradations))
    quiet = quiet or not who.main
    with tqdm(total=total, desc="encode", unit="clip", disable=quiet) as bar:
        encoded = encode_clips(
            encoder,
            found.golden,
            degradations,
            max_bad=settings.max_bad,
            progress=bar.update,
        )
    model.release_encoders()
    if settings.checkpointing:
        checkpoint_activations(model)
    if len(encoded.ids) < 4:
        raise InputError(
            f"--clips {settings.clips}: {len(encoded.ids)} usable clips, at least 4 are"
            " needed; add clips or mend those in quarantine"
        )
    layout = make_layout(model.network, model.modules(), settings.params)
    sketched, sketch = choose_sketch(settings, layout)
    kept = set(encoded.ids)
    content = [[c.id, c.identity(), c.caption] for c in found.golden if c.id in kept]
    inputs = {
        "checkpoint": model.fingerprint,
        "encoders": model.encoder_fingerprint,
        "clips": digest(content),
        "parameters": layout.fingerprint,
    }
    sigmas = settings.sigmas()
    shaping = [
        *(inputs, str(shape), encoded.conditions, sigmas.tolist()),
        *(settings.draws, settings.dtype, settings.seed),
        [sketched, sketch.size, sketched and settings.exact_norms],
        stopping_rule(settings),
    ]
    out = run_directory(settings)
    note, shaped = describe(settings, inputs), digest(shaping)
    store = shared_claim(out, note, shaped, settings.overwrite, who)
    return Probe(
        *(settings, out, model, shape, degradations),
        encoded=encoded,
        sigmas=sigmas,
        layout=layout,
        store=store,
        sketch=sketch,
        sketched=sketched,
        processes=who,
    )


def choose_sketch(settings: RunSettings, layout: Layout) -> tuple[bool, Sketch]:
    """Decide whether gradients are kept whole, and how they are sketched.

    Args:
        settings: The run's settings.
        layout: The probed parameters.

    Returns:
        Whether sketches alone are kept, and the sketch (whole gradients get one too,
        for products across levels).
    """
    least = SPLITS * len(layout.groups)
    usual = max(DEFAULT_SIZE, least)
    if settings.sketch == "auto":
        return layout.size > EXACT_BELOW, Sketch(layout, usual)
    if settings.sketch == "exact":
        return False, Sketch(layout, usual)
    return True, Sketch(layout, int(settings.sketch))


def checkpoint_activations(model: VideoModel) -> None:
    """Let the network recompute its activations in the backward pass.

    Args:
        model: The checkpoint.

    Raises:
        InputError: If the network cannot.
    """
    enable: Any = getattr(model.network, "enable_gradient_checkpointing", None)
    if enable is None or not getattr(
        model.network, "_supports_gradient_checkpointing", True
    ):
        raise InputError(
            "--checkpointing: this network cannot recompute activations; leave the"
            " option out, or use --batch-size 1"
        )
    enable()


def share_encoding(
    encoder: ClipEncoder,
    clips: list[Clip],
    degradations: tuple[Degradation, ...],
    who: Processes,
) -> None:
    """Let each process encode its share into the cache that all read from.

    Args:
        encoder: The encoder.
        clips: Golden clips.
        degradations: Degraded versions to make of each.
        who: The processes.
    """
    if who.world == 1:
        return
    for clip in clips[who.rank :: who.world]:
        with suppress(BadClip):  # met again, and counted, when all read
            for degradation in (None, *degradations):
                encoder.latents(clip, degradation)
            encoder.caption(clip)
    who.barrier()


def clip_shape(settings: RunSettings, model: VideoModel) -> ClipShape:
    """Resolve the clip shape: what was asked for, else what is native.

    Args:
        settings: The run's settings.
        model: The checkpoint.

    Returns:
        The clip shape.
    """
    native = model.native
    return ClipShape(
        settings.frames or native.frames,
        settings.height or native.height,
        settings.width or native.width,
        settings.fps or native.fps,
    )
