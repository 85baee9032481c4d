"""Real imbalanced clips: classes that have clips of their own, probed unpaired."""

from __future__ import annotations

import logging
from collections.abc import Callable

from tqd_probe.clips.clip import Clip
from tqd_probe.core.clip_classes import LEAST_CLIPS
from tqd_probe.core.errors import InputError
from tqd_probe.models.clip_encoder import ClipEncoder, EncodedClips, encode_clips

LEAST_UNPAIRED = LEAST_CLIPS  # below, intervals are undefined
log = logging.getLogger("tqd_probe")


def unpaired_clips(
    others: dict[str, list[Clip]], limit: int | None
) -> tuple[dict[str, list[Clip]], dict[str, int]]:
    """Choose the clips of each class that are probed.

    Args:
        others: Clips by class.
        limit: The first so many of each class; None for all.

    Returns:
        Clips by class; and the number of clips of each class that is left out, with a
        warning, because it has fewer than `LEAST_UNPAIRED`.
    """
    chosen, too_few = {}, {}
    for name, clips in sorted(others.items(), reverse=True):
        some = clips[:limit]
        if len(some) >= LEAST_UNPAIRED:
            chosen[name] = some
            continue
        too_few[name] = len(some)
        log.warning(
            "class %s: its %d real clips are not probed, at least %d are needed;"
            " degraded copies stand for them, where there are any",
            name,
            len(some),
            LEAST_UNPAIRED,
        )
    return chosen, too_few


def warn_of_copies(golden: list[Clip], unpaired: dict[str, list[Clip]]) -> None:
    """Warn of clips that seem to show the scene of a golden clip.

    Unpaired intervals take the clips of a class for other scenes than golden's: those
    of copies are too narrow, and their cosines too high.

    Args:
        golden: Golden clips.
        unpaired: Clips by class.
    """
    captions = {clip.caption.strip() for clip in golden} - {""}
    for name, clips in unpaired.items():
        copies = sum(clip.caption.strip() in captions for clip in clips)
        if copies:
            log.warning(
                "class %s: %d of %d clips have the caption of a golden clip; if they"
                " are copies of its scene, they are no evidence of their own: leave"
                " them out, or measure copies with --degradations",
                name,
                copies,
                len(clips),
            )


def encode_unpaired(
    encoder: ClipEncoder,
    clips: dict[str, list[Clip]],
    max_bad: int,
    progress: Callable[[int], None],
) -> tuple[EncodedClips | None, dict[str, list[int]]]:
    """Encode clips of imbalanced classes as they are.

    Args:
        encoder: The encoder.
        clips: Clips by class.
        max_bad: Clips that may fail.
        progress: Called with the number of clips done.

    Returns:
        The encoded clips of all classes, None without any, and their indices by class.

    Raises:
        InputError: If fewer than `LEAST_UNPAIRED` clips of a class can be used.
    """
    if not clips:
        return None, {}
    every = [clip for some in clips.values() for clip in some]
    encoded = encode_clips(encoder, every, (), max_bad=max_bad, progress=progress)
    places = {name: i for i, name in enumerate(encoded.ids)}
    rows = {
        name: [places[clip.id] for clip in some if clip.id in places]
        for name, some in clips.items()
    }
    for name, usable in rows.items():
        if len(usable) < LEAST_UNPAIRED:
            raise InputError(
                f"--clips: class {name}: {len(usable)} usable clips, at least"
                f" {LEAST_UNPAIRED} are needed; repair those in quarantine or take the"
                " class out"
            )
    return encoded, rows
