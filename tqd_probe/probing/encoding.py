"""Choose, degrade and encode the clips of a probe."""

from __future__ import annotations

from contextlib import suppress

from tqdm import tqdm

from tqd_probe.clips.clip import Clip
from tqd_probe.clips.degradations import Degradation
from tqd_probe.clips.fitting import describe_misfits
from tqd_probe.clips.source import ClipSet, open_clips, refuse_duplicates
from tqd_probe.core.errors import BadClip, InputError
from tqd_probe.core.processes import Processes
from tqd_probe.models.clip_encoder import ClipEncoder, EncodedClips, encode_clips
from tqd_probe.probing.matched_severity import match_severities
from tqd_probe.probing.settings import ProbeRunSettings
from tqd_probe.probing.unpaired import (
    LEAST_UNPAIRED,
    encode_unpaired,
    unpaired_clips,
    warn_of_copies,
)

DEFAULT_CLIPS = 24


def choose_clips(
    settings: ProbeRunSettings, at_most: int | None
) -> tuple[ClipSet, dict[str, int]]:
    """Open the clips that are probed; no pixels are read yet.

    Args:
        settings: The run's settings.
        at_most: Take the first so many of each class, however many there are; None
            for all that are asked for.

    Returns:
        Golden clips, and those of imbalanced classes that are probed unpaired; and the
        number of clips of each class that has too few of them for that.

    Raises:
        InputError: If there are too few clips, copies of one clip, or nothing to
            compare.
    """
    limit = settings.num_clips
    if limit is None and settings.clips == "synthetic":
        limit = at_most or DEFAULT_CLIPS
    found = open_clips(settings.clips, limit, settings.seed, settings.least_quality())
    golden = found.golden[:at_most]
    if len(golden) < settings.least_clips:
        raise InputError(
            f"--clips {settings.clips}: {len(golden)} golden clips, at least"
            f" {settings.least_clips} are needed to tell signal from noise; add clips,"
            " or for a trial without bands lower --least-clips"
        )
    refuse_duplicates(settings.clips, golden)
    limits = [number for number in (limit, at_most) if number is not None]
    unpaired, too_few = unpaired_clips(found.others, min(limits, default=None))
    if not settings.parsed_degradations() and not unpaired:
        raise InputError(
            f"--clips {settings.clips}: no class of imbalanced clips with at least"
            f" {LEAST_UNPAIRED} clips, and --degradations none: nothing to compare;"
            " give one of the two"
        )
    refuse_duplicates(settings.clips, [c for clips in unpaired.values() for c in clips])
    warn_of_copies(golden, unpaired)
    return ClipSet(golden, unpaired, notes=found.notes), too_few


def matched_degradations(
    settings: ProbeRunSettings,
    encoder: ClipEncoder,
    golden: list[Clip],
    processes: Processes,
    progress: bool,
) -> tuple[tuple[Degradation, ...], dict[str, list[float]] | None]:
    """Return the degradations of a probe, their severities matched if asked for.

    Args:
        settings: The run's settings.
        encoder: Encodes clips, through the cache.
        golden: Golden clips.
        processes: The processes that share the run.
        progress: Show a progress bar.

    Returns:
        The degradations, and the latent distances they were matched by.
    """
    asked, reference = settings.parsed_degradations(), settings.match_severity
    if reference is None:
        return asked, None

    def match() -> tuple[tuple[Degradation, ...], dict[str, list[float]]]:
        return match_severities(encoder, golden, asked, reference, progress)

    processes.broadcast_from_main(match)  # then the clips are in the cache
    return match()


def encode_probed(
    settings: ProbeRunSettings,
    encoder: ClipEncoder,
    clips: ClipSet,
    degradations: tuple[Degradation, ...],
    processes: Processes,
    progress: bool,
) -> tuple[EncodedClips, EncodedClips | None, dict[str, list[int]]]:
    """Encode golden clips, their degraded copies, and unpaired clips.

    Args:
        settings: The run's settings.
        encoder: Encodes clips, through the cache.
        clips: The clips that are probed.
        degradations: Degraded copies to make of each golden clip.
        processes: The processes; each encodes its share.
        progress: Show a progress bar.

    Returns:
        Encoded golden clips with their copies; unpaired clips, None without any; and
        indices of the unpaired clips by class.

    Raises:
        InputError: If too few clips can be used.
        BadClip: If more clips than `--max-bad` cannot be used.
    """
    unpaired = [clip for some in clips.others.values() for clip in some]
    _share_encoding(encoder, clips.golden, degradations, processes)
    _share_encoding(encoder, unpaired, (), processes)
    try:
        encoded, others, places = _encode(
            settings, encoder, clips, degradations, progress
        )
    except BadClip as error:
        every = [*clips.golden, *unpaired]
        more = describe_misfits(every, encoder.shape, encoder.model.check_shape)
        raise BadClip(f"{error}{more}") from error
    if len(encoded.ids) < settings.least_clips:
        raise InputError(
            f"--clips {settings.clips}: {len(encoded.ids)} usable clips, at least"
            f" {settings.least_clips} are needed; add clips or repair those in"
            " quarantine"
        )
    return encoded, others, places


def _encode(
    settings: ProbeRunSettings,
    encoder: ClipEncoder,
    clips: ClipSet,
    degradations: tuple[Degradation, ...],
    progress: bool,
) -> tuple[EncodedClips, EncodedClips | None, dict[str, list[int]]]:
    """Encode golden clips with their copies, then unpaired ones."""
    unpaired = [clip for some in clips.others.values() for clip in some]
    total = len(clips.golden) * (1 + len(degradations)) + len(unpaired)
    with tqdm(total=total, desc="encode", unit="clip", disable=not progress) as bar:
        encoded = encode_clips(
            encoder,
            clips.golden,
            degradations,
            max_bad=settings.max_bad,
            progress=bar.update,
        )
        left = settings.max_bad - len(encoded.quarantine)
        others, places = encode_unpaired(encoder, clips.others, left, bar.update)
    if others is not None:
        encoded.quarantine.update(others.quarantine)
    return encoded, others, places


def _share_encoding(
    encoder: ClipEncoder,
    clips: list[Clip],
    degradations: tuple[Degradation, ...],
    processes: Processes,
) -> None:
    """Let each process encode its share into the cache that all read from."""
    if processes.world == 1:
        return
    own, copies = clips[processes.rank :: processes.world], (None, *degradations)
    with encoder.reading_ahead([(clip, each) for clip in own for each in copies]):
        for clip in own:
            with suppress(BadClip):  # raised again, and counted, when all are read
                for degradation in copies:
                    encoder.latents(clip, degradation)
                    encoder.conditioning(clip, degradation)
    processes.barrier()
