"""The result of a probe, computed from its Gram matrices."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from tqd_probe.core.files import finite_or_none
from tqd_probe.core.noise import logsnr
from tqd_probe.core.version import __version__
from tqd_probe.probing.comparisons import paired_comparisons
from tqd_probe.probing.cost import counted_cost
from tqd_probe.probing.curves import similarity_curves
from tqd_probe.probing.option_parsing import read_pool, read_range
from tqd_probe.probing.result import (
    Comparison,
    ModuleGroup,
    NoiseLevels,
    ProbedClips,
    ProbeResult,
    SimilarityCurves,
)
from tqd_probe.probing.run_directory import recorded_settings
from tqd_probe.probing.workspace import Workspace
from tqd_probe.schedules.band_schedule import ClipSize, Criterion, Model, Provenance
from tqd_probe.schedules.mixture_schema import Mixture
from tqd_probe.schedules.mixture_weights import (
    MixtureOptions,
    solve_mixture,
)
from tqd_probe.statistics.moments import Moments, cross_cosines

Rows = dict[str, list[int]]


def compute_result(workspace: Workspace) -> ProbeResult:
    """Compute all curves of a finished probe.

    Args:
        workspace: The probe; all its levels are in the store.

    Returns:
        The result; undefined numbers are None.
    """
    settings, unpaired = workspace.settings, workspace.unpaired_rows
    levels = [workspace.level(index) for index in range(len(workspace.sigmas))]
    full = [level.all_groups() for level in levels]
    # Real clips are better evidence of a class than copies made to resemble it.
    paired = {
        name: rows
        for name, rows in paired_comparisons(workspace.degradations).items()
        if name not in unpaired
    }
    classes = workspace.classes
    confidence = settings.level_confidence()
    golden, curves = similarity_curves(full, 0, paired, unpaired, confidence)
    modules = {}
    for index, group in enumerate(levels[0].groups):
        of_group, compared = similarity_curves(
            levels, index, paired, unpaired, confidence
        )
        modules[group] = ModuleGroup(
            snr=of_group.snr, resolved=of_group.resolved, subjects=compared
        )
    joint = workspace.moments()
    order = [*classes, *unpaired]
    mixture = None
    if settings.criterion == "mixture":
        mixture = _mixture(workspace, joint, np.array(golden.resolved))
    cross_level = {
        name: [[finite_or_none(value) for value in row] for row in table]
        for name, table in zip(order, cross_cosines(joint, len(order)))
    }
    return ProbeResult(
        format="tqd-gradsim",
        version=1,
        provenance=Provenance(
            tool_version=__version__,
            settings=recorded_settings(settings),
            seed=settings.seed,
        ),
        model=_described_model(workspace),
        noise=NoiseLevels(
            axis="sigma",
            shift=settings.shift,
            range=workspace.model.sigma_range,
            levels=workspace.sigmas.tolist(),
            logsnr=logsnr(workspace.sigmas).tolist(),
        ),
        criterion=Criterion(
            name=settings.criterion,
            cos_min=settings.cos_min,
            delta=settings.delta,
            norm_range=read_range(settings.norm_range),
            confidence=settings.confidence,
            family_wise=settings.family_wise,
            metric=settings.metric,
        ),
        clips=ProbedClips(
            source=settings.clips,
            shape=str(workspace.shape),
            ids=workspace.encoded.ids,
            draws=settings.draws,
            quarantine=workspace.encoded.quarantine,
            size=ClipSize.model_validate(asdict(workspace.shape)),
            too_few=workspace.too_few,
        ),
        covered_share=workspace.covered_share,
        cost=counted_cost(workspace, levels),
        golden=golden,
        subjects=_comparisons(workspace, paired, curves),
        modules=modules,
        cross_level=cross_level,
        mixture=mixture,
        severities=workspace.severities,
    )


def _described_model(workspace: Workspace) -> Model:
    """Describe the checkpoint and which of its parameters were probed."""
    settings, model = workspace.settings, workspace.model
    of_lora = settings.lora is not None and not settings.fuse_lora
    return Model(
        family=model.family,
        source=settings.ckpt,
        fingerprint=model.fingerprint,
        expert=model.expert,
        parameters="lora" if of_lora and settings.params == "all" else settings.params,
        prediction=model.prediction,
    )


def _comparisons(
    workspace: Workspace, paired: Rows, curves: dict[str, SimilarityCurves]
) -> dict[str, Comparison]:
    """Describe what was compared, with its curves: real clips first."""
    found = {
        name: Comparison(
            kind="class",
            degradations={},
            clips=len(rows),
            paired=False,
            **dict(curves[name]),
        )
        for name, rows in workspace.unpaired_rows.items()
    }
    for name, rows in paired.items():
        pooled = [workspace.degradations[row - 1] for row in rows]  # 0 is golden
        is_class = name in workspace.classes
        found[name] = Comparison(
            kind="class" if is_class else "degradation",
            degradations={p.name: p.severity for each in pooled for p in each.parts},
            members=[str(each) for each in pooled] if is_class else [],
            clips=len(workspace.encoded.ids),
            paired=True,
            **dict(curves[name]),
        )
    return found


def _mixture(workspace: Workspace, joint: Moments, resolved: np.ndarray) -> Mixture:
    """Measure the mixture of classes."""
    settings, unpaired = workspace.settings, workspace.unpaired_rows
    probed = {name: len(workspace.encoded.ids) for name in workspace.classes}
    probed |= {name: len(rows) for name, rows in unpaired.items()}
    order = [*workspace.classes, *unpaired]
    moments = [joint]
    if settings.mixture_form == "per-level":
        levels = range(len(workspace.sigmas))
        moments = [joint.of_level(level, len(order)) for level in levels]
    options = MixtureOptions(
        form=settings.mixture_form,
        pool=read_pool(settings.pool) if settings.pool else probed,
        floor=settings.floor,
        confidence=settings.level_confidence(),
        seed=settings.seed,
        shift=settings.shift,
        span=workspace.model.sigma_range,
        timesteps=workspace.model.timestep_levels,
    )
    found = solve_mixture(order, workspace.sigmas, resolved, moments, options)
    return Mixture.model_validate(found)
