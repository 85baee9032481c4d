"""Severities matched across axes by how far they move a clip in the latents.

Otherwise "visual against motion" may be "small against large edit".
"""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from tqd_probe.clips.clip import Clip
from tqd_probe.clips.degradations import CONTROL, EFFECTS, Degradation
from tqd_probe.core.errors import InputError
from tqd_probe.models.clip_encoder import ClipEncoder

CLIPS = 8  # distances differ little between clips


def latent_distances(encoder: ClipEncoder, clips: list[Clip], name: str) -> list[float]:
    """Measure how far each severity of a degradation moves clips.

    Args:
        encoder: The encoder; results are cached.
        clips: Clips to average over.
        name: Name of the degradation.

    Returns:
        Root mean squared change of the latents, in their units, by severity from 1.
    """
    found = []
    steps = [
        Degradation(name, severity + 1)
        for severity in range(len(EFFECTS[name].amounts))
    ]
    golden = [(clip, None) for clip in clips]
    moved = [(clip, step) for step in steps for clip in clips]
    with encoder.reading_ahead([*golden, *moved]):
        still = [encoder.latents(*version) for version in golden]
        for step in steps:
            squares = []
            for clip, latents in zip(clips, still):
                gap = encoder.latents(clip, step) - latents
                squares.append(float((gap.double() ** 2).mean()))
            found.append(float(np.sqrt(np.mean(squares))))
    return found


def match_severities(
    encoder: ClipEncoder,
    clips: list[Clip],
    degradations: tuple[Degradation, ...],
    reference: str,
    progress: bool = True,
) -> tuple[tuple[Degradation, ...], dict[str, list[float]]]:
    """Give every degradation the severity nearest to a reference by latent distance.

    Args:
        encoder: The encoder.
        clips: Golden clips; the first `CLIPS` are measured.
        degradations: The degradations asked for; severities are replaced, those of
            combined ones part by part.
        reference: Such as ``blur:3``.
        progress: Show a progress bar.

    Returns:
        The matched degradations, and all distances by name, the reference's included.

    Raises:
        InputError: If the reference does not change the clips.
    """
    name, _, severity = reference.partition(":")
    some = clips[:CLIPS]
    parts = [part.name for each in degradations for part in each.parts]
    names = dict.fromkeys([name.strip(), *parts])
    bar = tqdm(names, desc="severities", unit="degradation", disable=not progress)
    distances = {each: latent_distances(encoder, some, each) for each in bar}
    goal = distances[name.strip()][int(severity) - 1]
    if goal <= 0:
        raise InputError(
            f"--match-severity {reference}: leaves these clips as they are; choose a"
            " degradation that changes them"
        )

    def matched(each: Degradation) -> Degradation:
        before = matched(each.after) if each.after else None
        values = np.array(distances[each.name])
        # Nearest in ratio; a severity that changes nothing is infinitely far.
        with np.errstate(divide="ignore"):
            gaps = np.abs(np.log(values / goal))
        fixed = EFFECTS[each.name].kind == CONTROL or not np.isfinite(gaps).any()
        best = each.severity if fixed else int(gaps.argmin()) + 1
        return Degradation(each.name, best, before)

    return tuple(dict.fromkeys(map(matched, degradations))), distances
