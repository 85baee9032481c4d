"""Similarity of gradients for a user's own network and data loaders."""

from __future__ import annotations

import itertools
import math
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from tqdm import tqdm

from tqd_probe.core.clip_classes import CLASSES, GOLDEN, LEAST_CLIPS
from tqd_probe.core.errors import GradientError, InputError
from tqd_probe.core.files import digest
from tqd_probe.core.noise import logsnr
from tqd_probe.core.version import __version__
from tqd_probe.gradients.capture import GradientCapture
from tqd_probe.gradients.draws import Draws, LevelDraws
from tqd_probe.gradients.gradient_energy import measure_energy
from tqd_probe.gradients.gram import LevelGram
from tqd_probe.gradients.kept_gradients import Sketched
from tqd_probe.gradients.layout import Layout, make_layout
from tqd_probe.gradients.metric import POWERS, factored_metric
from tqd_probe.gradients.reduce_level import Reduction, reduce_sketched
from tqd_probe.gradients.second_moments import (
    FactoredSquares,
    levels_of_batches,
    mean_of,
)
from tqd_probe.gradients.sketch import DEFAULT_SIZE, Sketch
from tqd_probe.gradients.sketched_gram import sketched_gram
from tqd_probe.models.placement import computing_device
from tqd_probe.probing.curves import similarity_curves
from tqd_probe.probing.result import (
    Comparison,
    CountedCost,
    ModuleGroup,
    NoiseLevels,
    ProbedClips,
    ProbeResult,
)
from tqd_probe.schedules.band_schedule import Criterion, Model, Provenance

LEAST_OF_CLASS = 2  # clips of its own
LEAST_COVERED = 0.99
BatchLosses = Callable[[Any, float, int], Tensor]


def compare_gradients(
    network: nn.Module,
    losses: BatchLosses,
    clips: Mapping[str, Iterable[Any]],
    *,
    sigmas: Sequence[float],
    draws: int = 2,
    paired: Collection[str] = (),
    groups: Mapping[str, list[str]] | None = None,
    params: str = "all",
    sketch: int = DEFAULT_SIZE,
    metric: Literal["adam", "raw", "fisher"] = "adam",
    compile: bool = False,
    least_clips: int = LEAST_CLIPS,
    cos_min: float = 0.9,
    delta: float = 0.03,
    norm_range: tuple[float, float] = (0.5, 2.0),
    confidence: float = 0.95,
    progress: bool = True,
) -> ProbeResult:
    """Compare gradients of classes of clips with golden ones, noise level by level.

    Needs no diffusers pipeline: any network, any data loader. Give each draw of a
    clip the same noise in every class and at every level (seed it by ``draw`` and the
    clip): common random numbers make the intervals narrower.

    Args:
        network: The network, as it is trained (but for dropout).
        losses: Called as ``losses(batch, sigma, draw)``; runs the network on a batch at
            a noise level under noise sample number ``draw`` and returns the losses of
            its clips ``[B]``.
        clips: Batches of each class, among them those of ``golden``; the first tensor
            of a batch has the clips in front. Every loader is gone through once per
            level and draw, and must give the same clips in the same order each time.
        sigmas: Noise levels.
        draws: Noise samples per clip and level.
        paired: Classes whose clips are versions of the golden ones, clip by clip (such
            as blurred copies). All others have clips of their own.
        groups: Parameter names by module group; by default all are one group.
        params: ``all``, or a regular expression searched in parameter names.
        sketch: Numbers kept of each gradient.
        metric: Inner product of gradients (`gradients/metric.py`); second moments are
            factored, and estimated from golden clips.
        compile: Compile the members of the network's module lists.
        least_clips: Golden clips without which nothing is measured; fewer than 8 give
            no intervals and no bands.
        cos_min: Least cosine inside a band.
        delta: How far below it the lower end of the cosine's interval may lie there.
        norm_range: Range of the norm ratio inside a band.
        confidence: Of all intervals.
        progress: Show a progress bar.

    Returns:
        The result; `derive_schedule` gives its bands.

    Raises:
        InputError: If a class is missing or too small, or loaders disagree.
        GradientError: If less than 99 % of the squared gradient norm is captured, or a
            gradient is not finite.
    """
    _check(clips, sigmas, draws, paired, least_clips)
    names = [name for name, _ in network.named_parameters()]
    layout = make_layout(network, dict(groups or {"all": names}), params)
    first = next(iter(clips[GOLDEN]))
    levels = sorted(float(sigma) for sigma in sigmas)
    count = _clips_of(first)
    passes = [(partial(losses, first, sigma, 0), count) for sigma in levels]
    plain = Sketched(Sketch(layout, sketch))
    covered = GradientCapture(network, layout, plain).covered_share(*passes[0])
    if covered < LEAST_COVERED:
        raise GradientError(
            f"only {covered:.4f} of the squared gradient norm is captured; restrict"
            " params to layers that are"
        )
    weights = None
    if metric != "raw":
        moments = _second_moments(network, layout, losses, clips[GOLDEN], levels)
        device = computing_device(network)
        weights = factored_metric(layout, moments, POWERS[metric], device)
    energy = measure_energy(network, layout, [passes[0], passes[-1]], weights)
    sketched = Sketched(Sketch(layout, sketch, energy, weights))
    engine = GradientCapture(network, layout, sketched, compile)
    order = [GOLDEN, *(name for name in clips if name != GOLDEN)]
    versions = [name for name in order if name == GOLDEN or name in paired]
    others = [name for name in order if name not in versions]
    grams, counts = [], {}
    bar = tqdm(
        total=len(levels) * draws * len(order), desc="compare", disable=not progress
    )
    with bar, tempfile.TemporaryDirectory() as folder:
        for level, sigma in enumerate(levels):
            found = {}
            for name, draw in itertools.product(order, range(draws)):
                found[name, draw] = _capture(engine, losses, clips[name], sigma, draw)
                bar.update()
            counts = _counts(found, order, versions, draws)
            store = Draws(Path(folder), "compare")
            grams.append(
                _gram(store, level, found, counts, versions, others, draws, sketched)
            )
    places = np.cumsum([0, *(counts[name] for name in others)])
    unpaired = {
        name: list(range(start, stop))
        for name, start, stop in zip(others, places[:-1], places[1:])
    }
    pooled = {name: [row] for row, name in enumerate(versions) if name != GOLDEN}
    full = [gram.all_groups() for gram in grams]
    golden, curves = similarity_curves(full, 0, pooled, unpaired, confidence)
    modules = {}
    for index, group in enumerate(grams[0].groups):
        own, compared = similarity_curves(grams, index, pooled, unpaired, confidence)
        modules[group] = ModuleGroup(
            snr=own.snr, resolved=own.resolved, subjects=compared
        )
    shapes = [str(tuple(p.shape)) for p in network.parameters()]
    gradients = len(levels) * draws * sum(counts.values())
    return ProbeResult(
        format="tqd-gradsim",
        version=1,
        provenance=Provenance(tool_version=__version__, settings={}, seed=0),
        model=Model(
            family="custom",
            source=type(network).__name__,
            fingerprint=f"sha256:{digest([names, shapes])}",
            expert=None,
            parameters=params,
            prediction="as the given losses",
        ),
        noise=NoiseLevels(
            axis="sigma",
            shift=1.0,
            levels=levels,
            logsnr=logsnr(np.array(levels)).tolist(),
        ),
        criterion=Criterion(
            name="cosine",
            cos_min=cos_min,
            delta=delta,
            norm_range=norm_range,
            confidence=confidence,
            metric=metric,
        ),
        clips=ProbedClips(
            source="given by the caller",
            shape="as given",
            ids=[f"golden-{clip:04d}" for clip in range(counts[GOLDEN])],
            draws=draws,
            quarantine={},
        ),
        covered_share=covered,
        cost=CountedCost(
            clip_gradients=gradients,
            passes=bar.total,
            batch_size=count,
            flops_per_clip_gradient=0,
            flops=0,
            kept=sketched.sketch.size,
            sketch_numbers=sketched.sketch.size,
            clips_per_level=[counts[GOLDEN]] * len(levels),
            unpaired_clips=sum(counts[name] for name in others),
            draws_per_level=[draws] * len(levels),
            measured="not measured",
        ),
        golden=golden,
        subjects={
            name: Comparison(
                kind="class",
                degradations={},
                clips=counts[name],
                paired=name in pooled,
                **dict(curves[name]),
            )
            for name in order
            if name != GOLDEN
        },
        modules=modules,
    )


def _check(
    clips: Mapping[str, Iterable[Any]],
    sigmas: Sequence[float],
    draws: int,
    paired: Collection[str],
    least: int,
) -> None:
    """Refuse what cannot be compared, before any pass."""
    if GOLDEN not in clips or len(clips) < 2:
        raise InputError(
            f"clips: {sorted(clips)}: give batches of 'golden' and of another class"
        )
    strange = sorted(clips.keys() - set(CLASSES))
    if strange:
        raise InputError(
            f"clips: {strange[0]}: not a class; known: {', '.join(CLASSES)}"
        )
    unknown = sorted(set(paired) - clips.keys()) or [n for n in paired if n == GOLDEN]
    if unknown:
        raise InputError(f"paired: {unknown[0]}: not a class of clips beside golden")
    for name, loader in clips.items():
        if isinstance(loader, Iterator):
            raise InputError(
                f"clips: {name}: an iterator, which ends after one turn; give a list or"
                " a DataLoader"
            )
    if not len(sigmas) or not all(0 < s < 1 and math.isfinite(s) for s in sigmas):
        raise InputError(f"sigmas: {list(sigmas)}: give noise levels between 0 and 1")
    if draws < 1:
        raise InputError(f"draws: {draws}: give at least 1")
    golden = 0
    for batch in clips[GOLDEN]:
        golden += _clips_of(batch)
        if golden >= least:
            return
    raise InputError(
        f"clips: golden: {golden} clips, at least {least} are needed to tell signal"
        " from noise; add clips, or for a trial without bands lower least_clips"
    )


def _second_moments(
    network: nn.Module,
    layout: Layout,
    losses: BatchLosses,
    golden: Iterable[Any],
    levels: list[float],
) -> Tensor:
    """Estimate factored second moments, batch by batch, at evenly visited levels."""
    engine = GradientCapture(network, layout, FactoredSquares(layout))
    sizes = [_clips_of(batch) for batch in golden]
    chosen = levels_of_batches(sizes, len(levels))

    def squares() -> Iterator[Tensor]:
        for batch, places in zip(golden, chosen):
            for place in places:
                run = partial(losses, batch, levels[place], 0)
                yield engine.per_clip(run, _clips_of(batch))[0]

    return mean_of(squares())


def _clips_of(batch: Any) -> int:
    """Return the number of clips of a batch: the length of its first tensor."""
    found = next((x for x in tree_leaves(batch) if isinstance(x, Tensor)), None)
    if found is None or not found.ndim:
        raise InputError("clips: a batch without a tensor that has the clips in front")
    return len(found)


def _capture(
    engine: GradientCapture,
    losses: BatchLosses,
    batches: Iterable[Any],
    sigma: float,
    draw: int,
) -> list[dict[str, np.ndarray]]:
    """Capture one draw of all clips of a class; what is kept of each."""
    kept = []
    for batch in batches:
        count = _clips_of(batch)
        found = engine.capture(partial(losses, batch, sigma, draw), count)
        if not bool(torch.isfinite(found.gradients).all()):
            raise GradientError(f"sigma {sigma:g}: a gradient is not finite")
        assert found.norms is not None
        rows = zip(
            found.gradients.float().cpu().numpy(),
            found.losses.float().cpu().numpy(),
            found.norms.cpu().numpy(),
        )
        kept += [{"gradients": g, "losses": v, "norms": n} for g, v, n in rows]
    return kept


def _counts(
    found: dict[tuple[str, int], list[Any]],
    order: list[str],
    versions: list[str],
    draws: int,
) -> dict[str, int]:
    """Count the clips of each class; refuse too few, and classes that do not pair."""
    counts = {name: len(found[name, 0]) for name in order}
    for name, count in counts.items():
        if count < LEAST_OF_CLASS:
            raise InputError(
                f"clips: {name}: {count} clips, at least {LEAST_OF_CLASS} needed"
            )
        if any(len(found[name, draw]) != count for draw in range(draws)):
            raise InputError(f"clips: {name}: another number of clips each time")
        if name in versions and count != counts[GOLDEN]:
            raise InputError(
                f"clips: {name}: {count} clips, paired with {counts[GOLDEN]} golden"
                " ones"
            )
    return counts


def _gram(
    store: Draws,
    level: int,
    found: dict[tuple[str, int], list[dict[str, np.ndarray]]],
    counts: dict[str, int],
    versions: list[str],
    others: list[str],
    draws: int,
    sketched: Sketched,
) -> LevelGram:
    """Multiply the gradients of one level."""
    golden, at = counts[GOLDEN], counts[GOLDEN]
    for clip, draw in itertools.product(range(golden), range(draws)):
        parts = [found[name, draw][clip] for name in versions]
        store.put(
            level, clip, draw, {k: np.stack([p[k] for p in parts]) for k in parts[0]}
        )
    places: list[list[int]] = []
    for name in others:
        places.append(list(range(at - golden, at - golden + counts[name])))
        for clip, draw in itertools.product(range(counts[name]), range(draws)):
            part = found[name, draw][clip]
            store.put(level, at + clip, draw, {k: v[None] for k, v in part.items()})
        at += counts[name]
    reduction = Reduction(
        sketched.layout,
        sketched.sketch,
        [[row] for row in range(len(versions))],
        places,
    )
    held = LevelDraws(store, level, golden, draws, range(golden, at))
    sketches, products = reduce_sketched(held, reduction)
    return sketched_gram(sketches, **products)
