"""From the result of a probe to a band schedule, by the result's criterion."""

from __future__ import annotations

from typing import Any

import numpy as np

from tqd_probe.probing.result import Comparison, ProbeResult, as_array, as_bounds
from tqd_probe.schedules.band_schedule import BandSchedule
from tqd_probe.schedules.bands import CosineCriterion, clip_bands, cosine_bands
from tqd_probe.schedules.edges import edge_intervals, possible_bands, sure_bands
from tqd_probe.schedules.fits import fit_beta, fit_logit_offset
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


def derive_schedule(result: ProbeResult) -> BandSchedule:
    """Derive the band schedule from the curves of a probe.

    Args:
        result: The result of a probe.

    Returns:
        The schedule.
    """
    entries: dict[str, dict[str, Any]] = {"class": {}, "degradation": {}}
    for name, compared in result.subjects.items():
        entry = _entry(result, compared)
        if compared.kind == "class" and result.mixture is not None:
            _take_mixture(entry, result.mixture, name)
        entries[compared.kind][name] = entry
    golden = result.golden
    return BandSchedule.model_validate(
        {
            "format": "tqd-band-schedule",
            "version": 1,
            "provenance": result.provenance,
            "model": result.model,
            "noise": result.noise.model_dump(exclude={"range"}),
            "criterion": result.criterion,
            "golden": {
                "clips": len(result.clips.ids),
                "draws": result.clips.draws,
                "snr": golden.snr,
                "resolved": golden.resolved,
                "loss": golden.loss,
                "ceiling": golden.ceiling,
            },
            "classes": entries["class"],
            "degradations_detail": entries["degradation"],
            "mixture": result.mixture,
            "cross_level": result.cross_level,
            "severities": result.severities,
        }
    )


def _entry(result: ProbeResult, compared: Comparison) -> dict[str, Any]:
    """Return curves, bands by the cosine and fits of one class or degradation."""
    criterion = CosineCriterion(
        cos_min=result.criterion.cos_min,
        norm_range=result.criterion.norm_range,
        confidence=result.criterion.confidence,
    )
    resolved = np.array(result.golden.resolved)
    low, high = result.noise.range
    cosine, norm = as_bounds(compared.cosine_ci), as_bounds(compared.norm_ratio_ci)
    bands = cosine_bands(
        result.levels, cosine[:, 0], as_array(compared.norm_ratio), resolved, criterion
    )
    bands = clip_bands(bands, low, high)
    possible, sure = (
        clip_bands(rule(result.levels, cosine, norm, resolved, criterion), low, high)
        for rule in (possible_bands, sure_bands)
    )
    clips = compared.clips
    return {
        "degradations": compared.degradations,
        "clips": len(result.clips.ids) if clips is None else clips,
        "paired": compared.paired,
        **{
            key: value for key, value in compared if key in CURVES and value is not None
        },
        "bands": bands,
        "edges_ci": edge_intervals(bands, sure, possible),
        "possible": possible,
        "beta": fit_beta(bands, result.noise.shift),
        "logit_offset": fit_logit_offset(bands, result.noise.shift),
    }


def _take_mixture(entry: dict[str, Any], mixture: Mixture, name: str) -> None:
    """Put bands and densities fitted to the mixture's weights in place."""
    fits = (mixture.fits or {}).get(name)
    entry["bands"] = fits.bands.intervals if fits else []
    del entry["edges_ci"], entry["possible"]  # of other bands than these
    entry["beta"] = fits.beta if fits else None
    entry["logit_offset"] = fits.logit_offset if fits else None
