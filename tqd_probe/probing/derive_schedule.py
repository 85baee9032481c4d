"""From the result of a probe to a band schedule, by the result's criterion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tqd_probe.core.clip_classes import DEGRADED_CLASSES, LEAST_CLIPS
from tqd_probe.probing.result import Comparison, ProbeResult, as_array, as_bounds
from tqd_probe.schedules.band_schedule import VERSION, BandSchedule
from tqd_probe.schedules.bands import (
    CosineCriterion,
    LevelCurves,
    LevelIntervals,
    clip_bands,
    measured_range,
    three_ways,
)
from tqd_probe.schedules.clips_for_bands import clips_for_stable_bands
from tqd_probe.schedules.edges import (
    edge_intervals,
    possible_intervals,
    sure_intervals,
)
from tqd_probe.schedules.fits import fit_beta, fit_logit_offset
from tqd_probe.schedules.golden_density import golden_density
from tqd_probe.schedules.interval_sets import (
    Band,
    difference,
    intersection,
    union,
    wide,
)
from tqd_probe.schedules.mixture_schema import Mixture

CURVES = (
    "cosine",
    "cosine_ci",
    "cosine_naive",
    "norm_ratio",
    "norm_ratio_ci",
    "bias2",
    "bias2_ci",
)
ONE_LEVEL = "one level bounds no band; measure two or more"
NOTHING = "no degraded copies and no real clips of this class in the probe"


@dataclass(frozen=True)
class _Found:
    """Where one degradation or class may be used.

    Attributes:
        ways: Its intervals of *use*, *test* and *avoid*.
        sure: Where intervals show that it may be used.
        possible: Where intervals do not exclude that.
        clips: Clips at which its bands no longer depend on their number.
    """

    ways: LevelIntervals
    sure: list[Band]
    possible: list[Band]
    clips: int | None


def derive_schedule(
    result: ProbeResult, former: BandSchedule | None = None
) -> BandSchedule:
    """Derive the band schedule from the curves of a probe.

    Args:
        result: The result of a probe.
        former: The schedule followed so far, when a model is measured again: what lies
            in its bands and is now *test* stays in them.

    Returns:
        The schedule.
    """
    found = {name: _find(result, each) for name, each in result.subjects.items()}
    classes, details = {}, {}
    for name, compared in result.subjects.items():
        if compared.kind == "degradation":
            details[name] = _entry(result, compared, found[name])
            continue
        # A class of several degradations may be used where each of them may be.
        # Older results do not list them.
        older = [f"{each}:{n}" for each, n in compared.degradations.items()]
        pooled = compared.members or older
        members = [found[each] for each in pooled if each in found]
        of_class = _together(result, members) if members else found[name]
        classes[name] = _class_entry(result, name, of_class, former)
    for name in DEGRADED_CLASSES:
        if name not in classes:
            classes[name] = _unmeasured(result.clips.too_few.get(name))
    golden, size = result.golden, result.clips.size
    signal, resolved = as_array(golden.signal), np.array(golden.resolved)
    density = golden_density(result.levels, signal, resolved)
    return BandSchedule.model_validate(
        {
            "format": "tqd-band-schedule",
            "version": VERSION,
            "provenance": result.provenance,
            "model": result.model,
            "noise": result.noise.model_dump(exclude={"range"}),
            "criterion": result.criterion.model_dump(),
            "clip": None if size is None else size.model_dump(),
            "golden": {
                "clips": len(result.clips.ids),
                "draws": result.clips.draws,
                "snr": golden.snr,
                "resolved": golden.resolved,
                "loss": golden.loss,
                "ceiling": golden.ceiling,
            },
            "classes": classes,
            "degradations_detail": details,
            "mixture": result.mixture,
            "density": None if density is None else density.model_dump(),
            "cross_level": result.cross_level,
            "severities": result.severities,
        }
    )


def stay_in_bands(before: list[Band], use: list[Band], test: list[Band]) -> list[Band]:
    """Update bands by a new measurement, with hysteresis.

    A level enters on *use* and leaves on *avoid* alone, so that chance does not move
    levels in and out from one measurement to the next.

    Args:
        before: The bands so far.
        use: Where the class may be used by the new measurement.
        test: Where the new measurement does not say.

    Returns:
        Where it may be used, and where it was and the measurement does not say.
    """
    return wide(union(use, intersection(before, test)))


def _find(result: ProbeResult, compared: Comparison) -> _Found:
    """Divide the levels of one comparison by its own curves."""
    stated = result.criterion
    criterion = CosineCriterion(
        cos_min=stated.cos_min,
        norm_range=stated.norm_range,
        confidence=stated.confidence,
        delta=stated.delta,
    )
    curves = LevelCurves(
        levels=result.levels,
        cosine=as_array(compared.cosine),
        cosine_ci=as_bounds(compared.cosine_ci),
        norm_ratio=as_array(compared.norm_ratio),
        norm_ratio_ci=as_bounds(compared.norm_ratio_ci),
        resolved=np.array(result.golden.resolved),
    )
    span = result.noise.range
    clips = np.array(result.cost.clips_per_level)
    if not compared.paired:
        clips = np.minimum(clips, _clips(result, compared))
    return _Found(
        ways=three_ways(curves, criterion, span),
        sure=sure_intervals(curves, criterion, span),
        possible=possible_intervals(curves, criterion, span),
        clips=clips_for_stable_bands(curves, criterion, clips),
    )


def _together(result: ProbeResult, members: list[_Found]) -> _Found:
    """Divide the levels of a class by those of its degradations."""
    use = wide(intersection(*(each.ways.use for each in members)))
    avoid = union(*(each.ways.avoid for each in members))
    whole = measured_range(result.levels, result.noise.range)
    clips = [each.clips for each in members]
    return _Found(
        ways=LevelIntervals(use, difference(whole, use, avoid), avoid),
        sure=intersection(*(each.sure for each in members)),
        possible=intersection(*(each.possible for each in members)),
        clips=None if None in clips else max(n for n in clips if n is not None),
    )


def _clips(result: ProbeResult, compared: Comparison) -> int:
    """Return how many clips were compared."""
    return len(result.clips.ids) if compared.clips is None else compared.clips


def _entry(result: ProbeResult, compared: Comparison, found: _Found) -> dict[str, Any]:
    """Return curves, intervals by the cosine and fits of one class or degradation."""
    bands = found.ways.use
    return {
        "status": "measured",
        "reason": ONE_LEVEL if len(result.levels) == 1 else None,
        "degradations": compared.degradations,
        "clips": _clips(result, compared),
        "paired": compared.paired,
        **{
            key: value for key, value in compared if key in CURVES and value is not None
        },
        "bands": bands,
        "test": found.ways.test,
        "avoid": found.ways.avoid,
        "edges_ci": edge_intervals(bands, found.sure, found.possible),
        "clips_for_stable_bands": found.clips,
        "beta": fit_beta(bands, result.noise.shift),
        "logit_offset": fit_logit_offset(bands, result.noise.shift),
    }


def _class_entry(
    result: ProbeResult, name: str, found: _Found, former: BandSchedule | None
) -> dict[str, Any]:
    """Return the entry of a class, with what only classes have."""
    compared = result.subjects[name]
    clips, few = _clips(result, compared), result.clips.too_few.get(name)
    kept = False
    if former is not None and name in former.classes:
        ways = found.ways
        bands = stay_in_bands(former.classes[name].bands, ways.use, ways.test)
        kept = bands != ways.use
        rest = difference(measured_range(result.levels, result.noise.range), bands)
        test = wide(intersection(ways.test, rest))
        found = _Found(
            ways=LevelIntervals(bands, test, ways.avoid),
            sure=found.sure,
            possible=found.possible,
            clips=found.clips,
        )
    entry = _entry(result, compared, found)
    if kept:
        entry["edges_ci"] = None  # an edge that stays was not measured now
    if few is not None:
        entry["reason"] = (
            f"{few} real clips; {LEAST_CLIPS} are needed: bands of degraded copies"
        )
    if not compared.paired and clips < LEAST_CLIPS:
        entry |= {"status": "unmeasured", "bands": [], "test": [], "avoid": []}
        entry |= {"edges_ci": [], "beta": None, "logit_offset": None}
        entry["reason"] = f"{clips} real clips; {LEAST_CLIPS} are needed"
    if result.mixture is not None:
        whole = measured_range(result.levels, result.noise.range)
        _take_mixture(entry, result.mixture, name, whole)
    return entry


def _unmeasured(real_clips: int | None) -> dict[str, Any]:
    """Return the entry of a class of which nothing is known."""
    few = f"{real_clips} real clips; {LEAST_CLIPS} are needed, and no degraded copies"
    empty: dict[str, Any] = {key: [] for key in CURVES}
    return empty | {
        "status": "unmeasured",
        "reason": NOTHING if real_clips is None else few,
        "degradations": {},
        "clips": 0,
        "paired": False,
        "bias2_ci": None,
        "bands": [],
        "test": [],
        "avoid": [],
        "edges_ci": [],
        "clips_for_stable_bands": None,
        "beta": None,
        "logit_offset": None,
    }


def _take_mixture(
    entry: dict[str, Any], mixture: Mixture, name: str, whole: Band
) -> None:
    """Put bands, as far as levels were measured, and fits to weights in place."""
    fits = (mixture.fits or {}).get(name)
    entry["bands"] = clip_bands(fits.bands.intervals, *whole) if fits else []
    for key in ("edges_ci", "test", "avoid", "clips_for_stable_bands"):
        entry[key] = None  # of other bands than these
    used = fits if entry["bands"] else None
    entry["beta"] = used.beta if used else None
    entry["logit_offset"] = used.logit_offset if used else None
