"""`verify`: short paired trials of samplers, compared with the first of them.

Seed by seed, every sampler trains from the checkpoint for the same steps, with the same
clips and noise, and is judged on the same golden clips, levels and noise.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from tqdm import tqdm

from tqd_probe.core.clip_classes import GOLDEN
from tqd_probe.core.config_file import CONFIG_FILE, write_config
from tqd_probe.core.errors import ConfigurationChanged, InputError
from tqd_probe.core.files import digest, file_digest, write_json
from tqd_probe.core.run_directory import (
    DESCRIPTION_FILE,
    LOG_FILE,
    RunDescription,
    add_log_file,
    describe_run,
    differences,
    lock_directory,
    read_description,
    remove_log_file,
    shorten,
)
from tqd_probe.core.version import __version__
from tqd_probe.models.base import VideoModel
from tqd_probe.models.load import load_model
from tqd_probe.models.lora_file import find_lora_file
from tqd_probe.models.resolved_settings import resolve_settings
from tqd_probe.plots.save import write_figure
from tqd_probe.plots.verification_figure import verification_figure
from tqd_probe.sampling.level_buckets import bucket_edges
from tqd_probe.schedules.band_schedule import BandSchedule
from tqd_probe.training.clip_shape_in_use import take_clip_shape
from tqd_probe.training.model import read_init_lora
from tqd_probe.training.optimisation import check_optimiser
from tqd_probe.training.run_configuration import LIBRARIES
from tqd_probe.training.schedule_in_use import ScheduleInUse, load_schedule
from tqd_probe.training.scored_clips import (
    clips_digest,
    make_clip_pool,
    read_clips,
)
from tqd_probe.verification.compared_samplers import (
    ComparedSampler,
    parse_compared_samplers,
)
from tqd_probe.verification.comparison import compare_with_baseline, ranking_is_clear
from tqd_probe.verification.interim_analyses import (
    InterimAnalysis,
    plan_interim_analyses,
)
from tqd_probe.verification.report import format_report
from tqd_probe.verification.result import SamplerLosses, VerificationResult
from tqd_probe.verification.settings import (
    VerificationRunSettings,
    VerificationSettings,
)
from tqd_probe.verification.trials import (
    TrialLosses,
    options_of_verify,
    run_trial,
    training_settings,
)

log = logging.getLogger("tqd_probe")


def verify(
    settings: VerificationRunSettings | None = None,
    *,
    quiet: bool = False,
    **options: Any,
) -> VerificationResult:
    """Compare samplers on a checkpoint and clips; the same call resumes.

    Writes ``verify.json``, ``verify.md`` and ``verify.png`` to the run directory.

    Args:
        settings: The settings; or give them one by one.
        quiet: Show no progress bar.
        **options: Fields of `VerificationRunSettings`, such as ``ckpt="tiny"``.

    Returns:
        The result, the content of ``verify.json``.

    Raises:
        InputError: If checkpoint, clips, a schedule or an option is at fault.
        ConfigurationChanged: If the run directory holds another verification.
        StoppedBySignal: If a signal arrived; finished trials are kept.
    """
    given = settings or VerificationRunSettings(**options)
    settings = resolve_settings(given)
    samplers = parse_compared_samplers(settings.samplers)
    model = load_model(
        settings.ckpt, "cpu", expert=settings.expert, pipeline=settings.pipeline
    )
    files = [each.schedule for each in samplers if each.schedule]
    followed = [BandSchedule.load(path) for path in files]
    settings, note = take_clip_shape(settings, followed, model)

    def say(text: str) -> None:
        log.info(text)
        if not quiet:
            print(text, flush=True)

    say(note)
    inputs = check_inputs(settings, samplers, model, say)
    sigma_edges = bucket_edges(model.sigma_range)
    del model  # each trial loads its own
    with _claimed_directory(settings, inputs):
        write_config(given, settings.out / CONFIG_FILE)
        trials = run_trials(settings, samplers, inputs, quiet)
        result = summarise_trials(settings, samplers, trials, sigma_edges)
        _write_files(settings, result)
    return result


def check_inputs(
    settings: VerificationRunSettings,
    samplers: list[ComparedSampler],
    model: VideoModel,
    say: Callable[[str], object] = log.info,
) -> dict[str, Any]:
    """Refuse before the first trial what any of the trials would refuse.

    Args:
        settings: The verification's settings.
        samplers: The samplers under comparison.
        model: The model to be trained.
        say: Told how many clips of which class are left out.

    Returns:
        Fingerprints of checkpoint, clips and schedules.

    Raises:
        InputError: If clips or a schedule are at fault.
    """
    with options_of_verify():
        for sampler in samplers:
            options = training_settings(settings, sampler, settings.seed, settings.out)
            first = sampler is samplers[0]
            check_optimiser(options)
            read_init_lora(model, options)
            train, golden = read_clips(options, say if first else log.info)
            schedule = load_schedule(options, model)
            pool = make_clip_pool(train)
            steps = model.timestep_levels
            ScheduleInUse(options, pool, model.sigma_range, schedule, steps)
    if sum(each.clip_class == GOLDEN for each in golden) < 2:
        raise InputError(
            f"--golden {settings.golden}: fewer than 2 golden clips; add some"
        )
    schedules = [file_digest(each.schedule) for each in samplers if each.schedule]
    found = {
        "checkpoint": model.fingerprint,
        "encoders": model.encoder_fingerprint,
        "clips": digest([clips_digest(train), clips_digest(golden)]),
        "schedules": digest(schedules),
    }
    if settings.init_lora is not None:
        found["init_lora"] = file_digest(find_lora_file(settings.init_lora))
    return found


@contextmanager
def _claimed_directory(
    settings: VerificationRunSettings, inputs: dict[str, Any]
) -> Iterator[None]:
    """Lock the run directory if it is new or holds the same verification."""
    deciding = settings.model_dump(
        mode="json", include=set(VerificationSettings.model_fields)
    )
    wanted = describe_run(deciding, inputs, LIBRARIES)
    _refuse_another_configuration(settings, wanted)
    lock = lock_directory(settings.out)
    try:
        write_json(settings.out / DESCRIPTION_FILE, wanted.model_dump(mode="json"))
        log_file = add_log_file(settings.out)
        try:
            yield
        finally:
            remove_log_file(log_file)
    finally:
        lock.close()


def _refuse_another_configuration(
    settings: VerificationRunSettings, wanted: RunDescription
) -> None:
    """Refuse a run directory that holds another verification, or something else."""
    known = read_description(settings.out, "verification", (LOG_FILE, CONFIG_FILE))
    changed = differences(known, wanted) if known else []
    if changed:
        raise ConfigurationChanged(
            f"--out {settings.out}: holds a verification with another configuration"
            f" ({shorten(changed)}); use the former one, or another --out"
        )


def planned_analyses(
    settings: VerificationRunSettings, comparisons: int
) -> dict[int, InterimAnalysis]:
    """Plan the analyses of each comparison with the baseline; all share the error.

    Args:
        settings: The verification's settings.
        comparisons: Samplers other than the baseline.

    Returns:
        Analyses by the number of seeds done.
    """
    alpha = (1 - settings.confidence) / comparisons
    analyses = plan_interim_analyses(settings.seeds, settings.early_stop, alpha)
    return {analysis.seeds: analysis for analysis in analyses}


def run_trials(
    settings: VerificationRunSettings,
    samplers: list[ComparedSampler],
    inputs: dict[str, Any],
    quiet: bool,
) -> dict[str, list[TrialLosses]]:
    """Run trials seed by seed until the ranking is clear or all seeds are done.

    Args:
        settings: The verification's settings.
        samplers: The samplers under comparison, the baseline first.
        inputs: Fingerprints of checkpoint, clips and schedules.
        quiet: Show no progress bar.

    Returns:
        One trial per seed, by label.
    """
    trials: dict[str, list[TrialLosses]] = {each.label: [] for each in samplers}
    analyses = planned_analyses(settings, len(samplers) - 1)
    total = settings.seeds * len(samplers)
    with tqdm(total=total, desc="trials", unit="trial", disable=quiet) as bar:
        for number in range(settings.seeds):
            start: np.ndarray | None = None  # the same for every sampler of a seed
            for place, sampler in enumerate(samplers):
                bar.set_postfix_str(f"seed {number}, {sampler.label}")
                trial = run_trial(settings, sampler, place, number, inputs, start)
                start = trial.start
                trials[sampler.label].append(trial)
                bar.update()
            done = number + 1
            analysis = analyses.get(done)
            if analysis is None or done == settings.seeds:
                continue
            losses = {label: _stack_after(rows) for label, rows in trials.items()}
            if ranking_is_clear(losses, samplers[0].label, analysis.level):
                log.info("ranking clear after %d seeds", done)
                break
    return trials


def summarise_trials(
    settings: VerificationRunSettings,
    samplers: list[ComparedSampler],
    trials: dict[str, list[TrialLosses]],
    sigma_edges: np.ndarray,
) -> VerificationResult:
    """Compare the finished trials.

    Args:
        settings: The verification's settings.
        samplers: The samplers under comparison, the baseline first.
        trials: One trial per seed, by label.
        sigma_edges: Edges of the buckets of sigma.

    Returns:
        The result.
    """
    baseline = samplers[0].label
    losses = {label: _stack_after(rows) for label, rows in trials.items()}
    first = np.stack([trial.before for rows in trials.values() for trial in rows])
    seeds = len(trials[baseline])
    analyses = planned_analyses(settings, len(samplers) - 1)
    deciding = settings.model_dump(include=set(VerificationSettings.model_fields))
    return VerificationResult(
        tool_version=__version__,
        settings=VerificationSettings.model_validate(deciding),
        baseline=baseline,
        seeds=seeds,
        stopped_early=seeds < settings.seeds,
        golden_clips=first.shape[1],
        start_loss=float(first.mean()),
        start_bucket_loss=first.mean((0, 1)).tolist(),
        sigma_edges=sigma_edges.tolist(),
        interim_analyses=list(analyses.values()),
        samplers={
            label: SamplerLosses(
                loss=float(values.mean()),
                loss_per_seed=values.mean((1, 2)).tolist(),
                bucket_loss=values.mean((0, 1)).tolist(),
            )
            for label, values in losses.items()
        },
        comparisons=compare_with_baseline(losses, baseline, analyses[seeds]),
    )


def _stack_after(trials: list[TrialLosses]) -> np.ndarray:
    """Return losses after training ``[seeds, clips, buckets]``."""
    return np.stack([trial.after for trial in trials])


def _write_files(settings: VerificationRunSettings, result: VerificationResult) -> None:
    """Write the JSON, the page and the figure."""
    result.save(settings.out / "verify.json")
    page = format_report(result)
    (settings.out / "verify.md").write_text(page + "\n", encoding="utf-8")
    figure = verification_figure(
        overall={label: c.difference for label, c in result.comparisons.items()},
        by_bucket={label: c.buckets for label, c in result.comparisons.items()},
        sigma_edges=result.sigma_edges,
        baseline=result.baseline,
    )
    write_figure(figure, settings.out / "verify.png")
