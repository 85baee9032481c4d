"""From Gram matrices to `gradsim.json` and, by a criterion, to a band schedule."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np

from tqd_probe.clips.degradations import CONTROL
from tqd_probe.core.noise import logsnr
from tqd_probe.core.version import __version__
from tqd_probe.gradients.gram import LevelGram
from tqd_probe.probing.comparisons import subjects
from tqd_probe.probing.cost import predicted
from tqd_probe.probing.draws import Probe
from tqd_probe.probing.option_parsing import read_pool, read_range
from tqd_probe.schedules.band_schedule import BandSchedule
from tqd_probe.schedules.bands import CosineCriterion, clip_bands, cosine_bands
from tqd_probe.schedules.edges import edge_intervals, possible_bands, sure_bands
from tqd_probe.schedules.fits import fit_beta, fit_logit_offset
from tqd_probe.schedules.mixture_weights import (
    MixtureOptions,
    check_options,
    measure_mixture,
)
from tqd_probe.statistics.moments import cross_cosines, joint_moments, level_moments
from tqd_probe.statistics.similarity import LevelStatistics

FORMAT = "tqd-gradsim"
CURVES = (
    "cosine",
    "cosine_ci",
    "cosine_naive",
    "norm_ratio",
    "norm_ratio_ci",
    "bias2",
    "bias2_ci",
)


def check_mixture(probe: Probe) -> None:
    """Refuse mixture options that do not fit the probed classes, before the work.

    Args:
        probe: A prepared probe.

    Raises:
        InputError: If a class has no pool size, or the floor is too large.
    """
    settings = probe.settings
    if settings.criterion == "mixture" and settings.pool is not None:
        copies = {d.kind for d in probe.degradations if d.kind != CONTROL}
        classes = ["golden", *sorted(copies | set(probe.unpaired))]
        check_options(classes, read_pool(settings.pool), settings.floor)


def measure(probe: Probe, argv: list[str]) -> dict[str, Any]:
    """Compute all curves of a finished probe.

    Args:
        probe: The probe; all its levels are in the store.
        argv: The command, for the provenance.

    Returns:
        The content of ``gradsim.json``: JSON values, undefined numbers as None.
    """
    settings, encoded = probe.settings, probe.encoded
    names = subjects(probe.degradations)
    # Clips that are a class say more of it than copies made to resemble it.
    names = {name: rows for name, rows in names.items() if name not in probe.unpaired}
    levels = [probe.level(index) for index in range(len(probe.sigmas))]
    whole = [level.all_groups() for level in levels]
    confidence = settings.level_confidence()
    golden, curves = _curves(whole, 0, names, probe.unpaired, confidence)
    modules = {}
    for index, group in enumerate(levels[0].groups):
        some, parts = _curves(levels, index, names, probe.unpaired, confidence)
        modules[group] = {
            "snr": some["snr"],
            "resolved": some["resolved"],
            "subjects": parts,
        }
    severities = {str(each): {each.name: each.severity} for each in probe.degradations}
    described: dict[str, Any] = {
        name: {
            "kind": "class",
            "degradations": {},
            "clips": len(rows),
            "paired": False,
            **curves[name],
        }
        for name, rows in probe.unpaired.items()
    }
    for name, pooled in names.items():
        pools: dict[str, int] = {}
        for index in pooled:
            pools |= severities[encoded.conditions[index]]
        kind = "degradation" if name in severities else "class"
        described[name] = {
            "kind": kind,
            "degradations": pools,
            "clips": len(encoded.ids),
            "paired": True,
            **curves[name],
        }
    copies = {name: rows for name, rows in names.items() if name not in severities}
    pooled_classes = {"golden": [0], **copies}
    joint = joint_moments(whole, pooled_classes, probe.unpaired)
    order = [*pooled_classes, *probe.unpaired]
    mixture = None
    if settings.criterion == "mixture":
        probed = {name: len(encoded.ids) for name in pooled_classes}
        probed |= {name: len(rows) for name, rows in probe.unpaired.items()}
        per_level = settings.mixture_form == "per-level"
        mixture = measure_mixture(
            order,
            probe.sigmas,
            np.array(golden["resolved"]),
            [level_moments(gram, pooled_classes, probe.unpaired) for gram in whole]
            if per_level
            else [joint],
            MixtureOptions(
                settings.mixture_form,
                read_pool(settings.pool) if settings.pool else probed,
                *(settings.floor, confidence, settings.seed, settings.shift),
                probe.model.sigma_range,
            ),
        )
    low, high = read_range(settings.norm_range)
    return {
        "format": FORMAT,
        "version": 1,
        "provenance": {
            "tool_version": __version__,
            "argv": argv,
            "seed": settings.seed,
        },
        "model": {
            "family": probe.model.family,
            "source": settings.ckpt,
            "fingerprint": probe.model.fingerprint,
            "expert": probe.model.expert,
            "parameters": _parameters(probe),
            "prediction": probe.model.prediction,
        },
        "noise": {
            "axis": "sigma",
            "shift": settings.shift,
            "range": list(probe.model.sigma_range),
            "levels": probe.sigmas.tolist(),
            "logsnr": logsnr(probe.sigmas).tolist(),
        },
        "criterion": {
            "name": settings.criterion,
            "cos_min": settings.cos_min,
            "norm_range": [low, high],
            "confidence": settings.confidence,
            "family_wise": settings.family_wise,
            "metric": settings.metric,
        },
        "clips": {
            "source": settings.clips,
            "shape": str(probe.shape),
            "ids": encoded.ids,
            "draws": settings.draws,
            "quarantine": encoded.quarantine,
        },
        "covered_share": probe.covered_share,
        "cost": predicted(probe, levels),
        "golden": golden,
        "subjects": described,
        "modules": modules,
        "cross_level": {
            name: [[_plain(float(x)) for x in row] for row in table]
            for name, table in zip(order, cross_cosines(joint, len(order)))
        },
        "mixture": mixture,
        "severities": probe.severities,
    }


def _parameters(probe: Probe) -> str:
    """Say which parameters were probed."""
    settings = probe.settings
    of_lora = settings.lora is not None and not settings.fuse_lora
    return "lora" if of_lora and settings.params == "all" else settings.params


def _curves(
    levels: list[LevelGram],
    group: int,
    names: dict[str, list[int]],
    unpaired: dict[str, list[int]],
    confidence: float,
) -> tuple[dict[str, list[Any]], dict[str, dict[str, list[Any]]]]:
    """Compute the curves of one module group over the levels."""
    golden: list[dict[str, Any]] = []
    found: dict[str, list[dict[str, Any]]] = {}
    for gram in levels:
        statistics = LevelStatistics(gram, group, confidence=confidence)
        golden.append(asdict(statistics.golden()))
        for name, rows in unpaired.items():
            found.setdefault(name, []).append(asdict(statistics.compare_unpaired(rows)))
        for name, pooled in names.items():
            found.setdefault(name, []).append(asdict(statistics.compare(pooled)))
    return _columns(golden), {name: _columns(rows) for name, rows in found.items()}


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Turn one dictionary per level into one list per key, NaN into None."""
    return {key: [_plain(row[key]) for row in rows] for key in rows[0]}


def _plain(value: Any) -> Any:
    """Make a value fit for JSON: an undefined number or interval becomes None."""
    if isinstance(value, tuple):
        parts = [_plain(part) for part in value]
        return None if None in parts else parts
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def numbers(values: list[Any]) -> np.ndarray:
    """Bring a list of a result back to floats.

    Args:
        values: Numbers or None per level.

    Returns:
        float64 array, NaN for None.
    """
    return np.array([np.nan if value is None else value for value in values], float)


def lower_bounds(intervals: list[Any]) -> np.ndarray:
    """Return the lower ends of intervals.

    Args:
        intervals: Pairs or None per level.

    Returns:
        float64 array, NaN for None.
    """
    return numbers([None if pair is None else pair[0] for pair in intervals])


def pairs(intervals: list[Any]) -> np.ndarray:
    """Bring intervals of a result back to floats.

    Args:
        intervals: Pairs or None per level.

    Returns:
        float64 ``[L, 2]``, NaN for None.
    """
    return np.array([(np.nan, np.nan) if p is None else p for p in intervals], float)


def derive_schedule(result: dict[str, Any]) -> BandSchedule:
    """Derive the band schedule from the curves, by the result's criterion.

    Args:
        result: Content of ``gradsim.json``.

    Returns:
        The schedule.
    """
    stated = result["criterion"]
    criterion = CosineCriterion(
        stated["cos_min"], tuple(stated["norm_range"]), stated["confidence"]
    )
    levels = np.array(result["noise"]["levels"])
    resolved = np.array(result["golden"]["resolved"])
    clips = len(result["clips"]["ids"])
    entries: dict[str, dict[str, Any]] = {"class": {}, "degradation": {}}
    for name, curves in result["subjects"].items():
        bands = cosine_bands(
            levels,
            lower_bounds(curves["cosine_ci"]),
            numbers(curves["norm_ratio"]),
            resolved,
            criterion,
        )
        span = result["noise"].get("range", (0.0, 1.0))
        bands = clip_bands(bands, *span)
        measured = (
            *(levels, pairs(curves["cosine_ci"]), pairs(curves["norm_ratio_ci"])),
            *(resolved, criterion),
        )
        possible = clip_bands(possible_bands(*measured), *span)
        sure = clip_bands(sure_bands(*measured), *span)
        entries[curves["kind"]][name] = {
            "degradations": curves["degradations"],
            "clips": curves.get("clips", clips),
            "paired": curves.get("paired", True),
            **{key: curves[key] for key in CURVES if key in curves},
            "bands": bands,
            "edges_ci": edge_intervals(bands, sure, possible),
            "possible": possible,
            "beta": fit_beta(bands),
            "logit_offset": fit_logit_offset(bands),
        }
    mixture = result.get("mixture")
    if mixture is not None:
        for name, entry in entries["class"].items():
            fits = mixture["fits"][name]
            entry["bands"] = fits["bands"]["intervals"] if fits else []
            del entry["edges_ci"], entry["possible"]  # of other bands than these
            entry["beta"] = fits["beta"] if fits else None
            entry["logit_offset"] = fits["logit_offset"] if fits else None
    return BandSchedule.model_validate(
        {
            "format": "tqd-band-schedule",
            "version": 1,
            "provenance": result["provenance"],
            "model": result["model"],
            "noise": {k: v for k, v in result["noise"].items() if k != "range"},
            "criterion": stated,
            "golden": {
                "clips": clips,
                "draws": result["clips"]["draws"],
                "snr": result["golden"]["snr"],
                "resolved": result["golden"]["resolved"],
                "loss": result["golden"]["loss"],
                "ceiling": result["golden"]["ceiling"],
            },
            "classes": entries["class"],
            "degradations_detail": entries["degradation"],
            "mixture": mixture,
            "cross_level": result.get("cross_level"),
            "severities": result.get("severities"),
        }
    )
