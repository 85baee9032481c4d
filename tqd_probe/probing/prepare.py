"""Prepare a probe: load the model, encode clips, choose parameters and sketch.

Nothing is written to the run directory here: a run may still be refused.
"""

from __future__ import annotations

import sys
from typing import Any

import torch

from tqd_probe.clips.degradations import CONTROL, check_frames
from tqd_probe.clips.frames_ahead import choose_workers
from tqd_probe.clips.source import ClipSet
from tqd_probe.core.clip_classes import GOLDEN
from tqd_probe.core.files import digest, file_digest
from tqd_probe.core.processes import Processes
from tqd_probe.gradients.adam_state import read_adam_state
from tqd_probe.gradients.layout import Layout, make_layout
from tqd_probe.gradients.metric import DAMPING
from tqd_probe.gradients.sketch import (
    DEFAULT_SIZE,
    MAP_VERSION,
    SPLITS,
    Sketch,
)
from tqd_probe.models.activation_memory import set_checkpointing
from tqd_probe.models.base import VideoModel
from tqd_probe.models.clip_encoder import ClipEncoder, EncodedClips, make_cache
from tqd_probe.models.native_clip import clip_shape
from tqd_probe.models.resolved_settings import describe_types, resolve_settings
from tqd_probe.probing.adaptive import stopping_rule
from tqd_probe.probing.checkpoint import (
    choose_placement,
    load_model_to_probe,
    model_levels,
)
from tqd_probe.probing.comparisons import paired_classes
from tqd_probe.probing.encoding import choose_clips, encode_probed, matched_degradations
from tqd_probe.probing.option_parsing import read_pool
from tqd_probe.probing.run_directory import (
    check_run_directory,
    describe_probe,
    run_directory,
)
from tqd_probe.probing.settings import ProbeRunSettings
from tqd_probe.probing.workspace import Workspace
from tqd_probe.schedules.mixture_weights import check_mixture_options

EXACT_BELOW = 2_000_000  # probed parameters: --sketch auto
LEVEL_FORMAT = 7  # raise when what is stored of a level changes


def prepare(
    settings: ProbeRunSettings,
    *,
    progress: bool = True,
    clips_at_most: int | None = None,
) -> Workspace:
    """Open the checkpoint, encode the clips, choose what is kept of gradients.

    Args:
        settings: The run's settings.
        progress: Show progress bars.
        clips_at_most: Take the first so many clips of each class; None for all that
            are asked for.

    Returns:
        The probe, whose run directory is not claimed yet. Checkpoint, clips and options
        that are at fault are refused with `InputError`.
    """
    out = run_directory(settings)
    settings = resolve_settings(settings)
    # Settings that differ from those of a run there are refused before slow work.
    check_run_directory(out, describe_probe(settings, {}), settings.overwrite)
    processes = Processes.join(settings.device)
    progress = progress and processes.is_main
    if progress:
        print(describe_types(settings), file=sys.stderr, flush=True)

    placement = choose_placement(settings, processes)
    device = processes.device(settings.device)
    model = load_model_to_probe(settings, device, placement)
    sigmas = model_levels(settings, model)
    shape = clip_shape(settings, model)
    check_frames(settings.parsed_degradations(), shape)

    clips, too_few = choose_clips(settings, clips_at_most)
    for note in clips.notes if progress else ():
        print(note, file=sys.stderr, flush=True)
    cache = make_cache(settings.cache)
    workers = choose_workers(settings.workers, settings.device)
    encoder = ClipEncoder(model, shape, settings.seed, cache, workers)
    degradations, severities = matched_degradations(
        settings, encoder, clips.golden, processes, progress
    )
    encoded, encoded_unpaired, unpaired_rows = encode_probed(
        settings, encoder, clips, degradations, processes, progress
    )
    model.release_encoders()

    layout = make_layout(model.network, model.modules(), settings.params)
    sketched, sketch = choose_sketch(settings, layout)
    # Without --batch-size a trial pass decides how many versions share a pass.
    first = encoded.batch(0, encoded.versions[:1])
    size = settings.batch_size or 1
    on = set_checkpointing(model, settings.checkpointing, first, size)
    if placement == "sharded":  # processes with unlike free memory do the same
        on = bool(processes.broadcast_from_main(lambda: on))
        set_checkpointing(model, "on" if on else "off", first, size)

    inputs = _input_fingerprints(model, layout, clips, encoded)
    shaping = [
        inputs,
        str(shape),
        encoded.versions,
        paired_classes(degradations, unpaired_rows),
        unpaired_rows,
        sigmas.tolist(),
        settings.draws,
        settings.dtype,
        settings.vae_dtype,
        settings.quantise,
        settings.seed,
        [sketched, MAP_VERSION, sketch.size, sketched and settings.exact_norms],
        stopping_rule(settings),
        LEVEL_FORMAT,
        settings.metric,
    ]
    # Only what is not usual: gradients that older versions stored stay valid.
    usual = {"tf32": "off", "exact_resume": "on"}
    shaping += [
        f"{name} {getattr(settings, name)}"
        for name, value in usual.items()
        if getattr(settings, name) != value
    ]
    adam_state = None
    if settings.metric != "raw":
        adam_state, source = _second_moments(settings, layout, sketched)
        inputs["second_moments"] = source
        shaping.append(source)
    return Workspace(
        settings=settings,
        out=out,
        description=describe_probe(settings, inputs),
        gradient_fingerprint=digest(shaping),
        model=model,
        shape=shape,
        degradations=degradations,
        encoded=encoded,
        sigmas=sigmas,
        layout=layout,
        sketch=sketch,
        sketched=sketched,
        processes=processes,
        in_step=placement == "sharded",
        encoded_unpaired=encoded_unpaired,
        unpaired_rows=unpaired_rows,
        adam_state=adam_state,
        too_few=too_few,
        severities=severities,
    )


def check_mixture(workspace: Workspace) -> None:
    """Refuse mixture options that do not fit the probed classes, before the work.

    Args:
        workspace: The probe; a class without a pool size, or a floor that is too large,
            is refused with `InputError`.
    """
    settings = workspace.settings
    if settings.criterion == "mixture" and settings.pool is not None:
        copies = {d.kind for d in workspace.degradations if d.kind != CONTROL}
        classes = [GOLDEN, *sorted(copies | set(workspace.unpaired_rows))]
        check_mixture_options(classes, read_pool(settings.pool), settings.floor)


def choose_sketch(settings: ProbeRunSettings, layout: Layout) -> tuple[bool, Sketch]:
    """Decide whether full gradients are kept, and how they are sketched.

    Args:
        settings: The run's settings.
        layout: The probed parameters.

    Returns:
        Whether sketches alone are kept, and the sketch (full gradients get one too,
        for products across levels).
    """
    least = SPLITS * len(layout.groups)
    usual = max(DEFAULT_SIZE, least)
    if settings.sketch == "auto":
        return layout.size > EXACT_BELOW, Sketch(layout, usual)
    if settings.sketch == "exact":
        return False, Sketch(layout, usual)
    return True, Sketch(layout, int(settings.sketch))


def _input_fingerprints(
    model: VideoModel, layout: Layout, clips: ClipSet, encoded: EncodedClips
) -> dict[str, Any]:
    """Hash what is probed: checkpoint, encoders, usable clips, parameters."""
    usable = set(encoded.ids)
    content = [
        [clip.id, clip.identity(), clip.caption]
        for clip in clips.golden
        if clip.id in usable
    ]
    content += [
        ["unpaired", clip.id, clip.identity(), clip.caption]
        for some in clips.others.values()
        for clip in some
    ]
    return {
        "checkpoint": model.fingerprint,
        "encoders": model.encoder_fingerprint,
        "clips": digest(content),
        "parameters": layout.fingerprint,
    }


def _second_moments(
    settings: ProbeRunSettings, layout: Layout, sketched: bool
) -> tuple[torch.Tensor | None, str]:
    """Return the moments of `--adam-state`, None without it, and a description."""
    form = f"{'factored' if sketched else 'full'}, damped by {DAMPING} of the median"
    if settings.adam_state is None:
        return None, f"estimated from golden gradients, {form}"
    moments = read_adam_state(settings.adam_state, layout, sketched)
    return moments, f"sha256:{file_digest(settings.adam_state)}, {form}"
