"""Before the first pass: clips encoded, sketch and layout chosen, directory claimed.

What `prepare` returns, `passes.run` captures gradients with.
"""

from __future__ import annotations

import logging
from contextlib import suppress

import torch
from tqdm import tqdm

from tqd_probe.clips.clip import Clip
from tqd_probe.clips.degradations import Degradation, check_frames
from tqd_probe.clips.source import open_clips, refuse_duplicates
from tqd_probe.core.devices import resolve_device
from tqd_probe.core.errors import BadClip, InputError
from tqd_probe.core.files import digest
from tqd_probe.core.processes import Processes
from tqd_probe.gradients.layout import Layout, make_layout
from tqd_probe.gradients.metric import metric_scale, read_adam_state
from tqd_probe.gradients.sketch import DEFAULT_SIZE, SPLITS, Sketch
from tqd_probe.models.activation_memory import set_checkpointing
from tqd_probe.models.clip_encoder import ClipEncoder, default_cache, encode_clips
from tqd_probe.models.native_clip import clip_shape
from tqd_probe.probing.adaptive import stopping_rule
from tqd_probe.probing.checkpoint import model_levels, open_model
from tqd_probe.probing.draws import Probe
from tqd_probe.probing.matched_severity import match_severities
from tqd_probe.probing.run_directory import (
    claim_for_all_processes,
    describe_probe,
    run_directory,
)
from tqd_probe.probing.settings import RunSettings
from tqd_probe.probing.unpaired import LEAST_UNPAIRED, encode_unpaired, unpaired_clips

DEFAULT_CLIPS = 24
EXACT_BELOW = 2_000_000  # probed parameters: --sketch auto
GRAM_VERSION = 6  # raise when what is kept of a level changes
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
    device = resolve_device(settings.device)
    settings = settings.model_copy(update={"device": device})
    degradations = settings.parsed_degradations()
    processes = Processes.join(settings.device)
    model = open_model(settings, processes.device(settings.device))
    sigmas = model_levels(settings, model)
    shape = clip_shape(settings, model)
    check_frames(degradations, shape)
    limit = settings.num_clips
    if limit is None and settings.clips == "synthetic":
        limit = DEFAULT_CLIPS
    found = open_clips(settings.clips, limit, settings.seed, settings.least_quality())
    if len(found.golden) < 4:
        raise InputError(
            f"--clips {settings.clips}: {len(found.golden)} golden clips, at least 4"
            " are needed to tell signal from noise; add clips"
        )
    refuse_duplicates(settings.clips, found.golden)
    extra = unpaired_clips(found.others, limit)
    if not degradations and not extra:
        raise InputError(
            f"--clips {settings.clips}: no class of imbalanced clips with at least"
            f" {LEAST_UNPAIRED} clips, and --degradations none: nothing to compare;"
            " give one of the two"
        )
    refuse_duplicates(settings.clips, [c for some in extra.values() for c in some])
    cache = settings.cache or default_cache()
    encoder = ClipEncoder(model, shape, settings.seed, cache)
    distances = None
    if settings.match_severity is not None:
        reference, asked = settings.match_severity, degradations

        def match() -> tuple[tuple[Degradation, ...], dict[str, list[float]]]:
            alone = quiet or not processes.is_main
            return match_severities(encoder, found.golden, asked, reference, alone)

        processes.broadcast_from_main(match)  # the others find it encoded
        degradations, distances = match()
    every = [clip for some in extra.values() for clip in some]
    share_encoding(encoder, found.golden, degradations, processes)
    share_encoding(encoder, every, (), processes)
    quiet = quiet or not processes.is_main
    total = len(found.golden) * (1 + len(degradations)) + len(every)
    with tqdm(total=total, desc="encode", unit="clip", disable=quiet) as bar:
        encoded = encode_clips(
            encoder,
            found.golden,
            degradations,
            max_bad=settings.max_bad,
            progress=bar.update,
        )
        others, unpaired = encode_unpaired(
            encoder, extra, settings.max_bad - len(encoded.quarantine), bar.update
        )
    if others is not None:
        encoded.quarantine.update(others.quarantine)
    model.release_encoders()
    if len(encoded.ids) < 4:
        raise InputError(
            f"--clips {settings.clips}: {len(encoded.ids)} usable clips, at least 4 are"
            " needed; add clips or mend those in quarantine"
        )
    layout = make_layout(model.network, model.modules(), settings.params)
    sketched, sketch = choose_sketch(settings, layout)
    kept = set(encoded.ids)
    content = [[c.id, c.identity(), c.caption] for c in found.golden if c.id in kept]
    content += [["unpaired", c.id, c.identity(), c.caption] for c in every]
    inputs = {
        "checkpoint": model.fingerprint,
        "encoders": model.encoder_fingerprint,
        "clips": digest(content),
        "parameters": layout.fingerprint,
    }
    # Without --batch-size a trial pass decides how many versions share a pass.
    together = settings.batch_size or 1
    first = encoded.batch(0, encoded.conditions[:1])
    set_checkpointing(model, settings.checkpointing, first, together)
    shaping = [
        *(inputs, str(shape), encoded.conditions, sigmas.tolist()),
        *(settings.draws, settings.dtype, settings.seed),
        [sketched, sketch.size, sketched and settings.exact_norms],
        stopping_rule(settings),
        *(GRAM_VERSION, settings.metric),
    ]
    scale: torch.Tensor | None = None
    if settings.metric == "adam":
        moments, source = read_adam_state(settings.adam_state, layout)
        inputs["second_moments"] = source
        shaping.append(source)
        scale = None if moments is None else metric_scale(moments)
    out = run_directory(settings)
    store = claim_for_all_processes(
        out,
        describe_probe(settings, inputs),
        digest(shaping),
        settings.overwrite,
        processes,
    )
    return Probe(
        *(settings, out, model, shape, degradations),
        encoded=encoded,
        sigmas=sigmas,
        layout=layout,
        store=store,
        sketch=sketch,
        sketched=sketched,
        processes=processes,
        others=others,
        unpaired=unpaired,
        scale=scale,
        severities=distances,
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


def share_encoding(
    encoder: ClipEncoder,
    clips: list[Clip],
    degradations: tuple[Degradation, ...],
    processes: Processes,
) -> None:
    """Let each process encode its share into the cache that all read from.

    Args:
        encoder: The encoder.
        clips: Golden clips.
        degradations: Degraded versions to make of each.
        processes: The processes.
    """
    if processes.world == 1:
        return
    for clip in clips[processes.rank :: processes.world]:
        with suppress(BadClip):  # met again, and counted, when all read
            for degradation in (None, *degradations):
                encoder.latents(clip, degradation)
                encoder.conditioning(clip, degradation)
    processes.barrier()
