"""Short paired trials of samplers: same start, clips, noise and judgement.

Seed by seed, every sampler trains from the checkpoint for the same steps. A finished
trial is one small file, so that a killed verification goes on where it was.
"""

from __future__ import annotations

import logging
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np
from tqdm import tqdm

from tqd_probe.core.errors import ConfigurationChanged, InputError
from tqd_probe.core.files import digest, file_digest, read_json, write_json
from tqd_probe.core.jsonl import read_jsonl
from tqd_probe.core.run_directory import (
    RunDescription,
    add_log_file,
    describe_run,
    differences,
    lock_directory,
    read_description,
)
from tqd_probe.core.version import __version__
from tqd_probe.models.load import load_model
from tqd_probe.plots.save import write_figure
from tqd_probe.training.scored_clips import read_scored_clips
from tqd_probe.training.train import train
from tqd_probe.verification.interim_analyses import Look, plan
from tqd_probe.verification.report import page, verify_figure
from tqd_probe.verification.settings import (
    Arm,
    TrialRunSettings,
    TrialSettings,
    read_arms,
    trial_options,
)
from tqd_probe.verification.verdict import all_clear, verdicts

log = logging.getLogger("tqd_probe")


class Stopped(Exception):
    """A signal ended a trial.

    Attributes:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        """Note the signal."""
        super().__init__(f"signal {number}")
        self.number = number


def verify(
    settings: TrialRunSettings | None = None, *, quiet: bool = False, **options: Any
) -> dict[str, Any]:
    """Compare samplers on a checkpoint and clips; resumes.

    Args:
        settings: The settings; or give them one by one.
        quiet: Show no progress bar.
        **options: Fields of `TrialRunSettings`, such as ``ckpt="tiny"``.

    Returns:
        The content of ``verify.json``.

    Raises:
        InputError: If checkpoint, clips, a schedule or an option is at fault.
        Stopped: If a signal arrived; finished trials are kept.
    """
    settings = settings or TrialRunSettings(**options)
    arms = read_arms(settings.samplers)
    seed = settings.seed if settings.clips_seed is None else settings.clips_seed
    golden = read_scored_clips(settings.golden, seed + 1)
    if sum(each.clip_class == "golden" for each in golden) < 2:
        raise InputError(
            f"--golden {settings.golden}: fewer than 2 golden clips; add some"
        )
    lock = _claim(settings, _description(settings, arms))
    handler = add_log_file(settings.out)
    try:
        losses, first = _run(settings, arms, quiet)
    finally:
        log.removeHandler(handler)
        handler.close()
        lock.close()
    return _write(settings, arms, losses, first)


def _claim(settings: TrialRunSettings, wanted: RunDescription) -> IO[str]:
    """Lock the run directory if it is new or holds the same verification."""
    known = read_description(settings.out, "verification", ignored=("log.txt",))
    changed = differences(known, wanted) if known else []
    if changed:
        raise ConfigurationChanged(
            f"--out {settings.out}: holds a verification with another configuration"
            f" ({'; '.join(changed[:3])}); use the former one, or another --out"
        )
    lock = lock_directory(settings.out)
    write_json(settings.out / "run.json", wanted.model_dump(mode="json"))
    return lock


def _description(settings: TrialRunSettings, arms: list[Arm]) -> RunDescription:
    """Resolve what decides the outcome."""

    def content(source: str) -> str:
        path = Path(source)
        return file_digest(path) if path.is_file() else source

    model = load_model(settings.ckpt, "cpu", expert=settings.expert)
    schedules = [content(str(arm.schedule)) for arm in arms if arm.schedule]
    inputs = {
        "checkpoint": model.fingerprint,
        "clips": digest([content(settings.clips), content(settings.golden)]),
        "schedules": digest(schedules),
    }
    deciding = settings.model_dump(mode="json", include=set(TrialSettings.model_fields))
    return describe_run(deciding, inputs, libraries=())


def looks_of(settings: TrialRunSettings, arms: list[Arm]) -> dict[int, Look]:
    """Lay the looks at each comparison with the baseline; all share the error.

    Args:
        settings: The verification's settings.
        arms: What is compared, the baseline first.

    Returns:
        Looks by the number of seeds done.
    """
    alpha = (1 - settings.confidence) / (len(arms) - 1)
    looks = plan(settings.seeds, settings.early_stop, alpha)
    return {look.seeds: look for look in looks}


def _run(
    settings: TrialRunSettings, arms: list[Arm], quiet: bool
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Run trials seed by seed until the ranking is clear or seeds are spent."""
    done: dict[str, list[np.ndarray]] = {arm.label: [] for arm in arms}
    firsts = []
    looks = looks_of(settings, arms)
    total = settings.seeds * len(arms)
    bar = tqdm(total=total, desc="trials", unit="trial", disable=quiet)
    with bar:
        for number in range(settings.seeds):
            for place, arm in enumerate(arms):
                bar.set_postfix_str(f"seed {number}, {arm.label}")
                before, after = _trial(settings, arm, place, number)
                done[arm.label].append(after)
                firsts.append(before)
                bar.update()
            look = looks.get(number + 1)
            if look and number + 1 < settings.seeds:
                so_far = {label: np.stack(rows) for label, rows in done.items()}
                if all_clear(so_far, arms[0].label, look.level):
                    log.info("ranking clear after %d seeds", number + 1)
                    break
    found = {label: np.stack(rows) for label, rows in done.items()}
    return found, np.stack(firsts)


def _trial(
    settings: TrialRunSettings, arm: Arm, place: int, number: int
) -> tuple[np.ndarray, np.ndarray]:
    """Run one trial or read it; losses before and after ``[clips, buckets]``."""
    folder = settings.out / "trials"
    path = folder / f"seed-{number:02d}-{place:02d}-{arm.sampler}.json"
    if not path.exists():
        work = folder / f".{path.stem}"
        shutil.rmtree(work, ignore_errors=True)
        options = trial_options(settings, arm, settings.seed + number, work)
        try:
            result = train(options, quiet=True, figures=False)
        except InputError as error:  # what a training calls --validation
            text = str(error).replace("--validation ", "--golden ")
            raise type(error)(text) from error
        if result.stopped_by:
            raise Stopped(result.stopped_by)
        rows = read_jsonl(work / "validation_losses.jsonl")
        write_json(
            path,
            {
                "label": arm.label,
                "seed": settings.seed + number,
                "classes": rows[-1]["classes"],
                "clips": rows[-1]["clips"],
                "before": rows[0]["losses"],
                "after": rows[-1]["losses"],
                "density": read_json(work / "density.json", "a density")["counts"],
            },
        )
        shutil.rmtree(work, ignore_errors=True)
    known = read_json(path, "a finished trial")
    try:
        golden = np.array([name == "golden" for name in known["classes"]])
        before, after = (
            np.array(known[key], float)[golden] for key in ("before", "after")
        )
    except (KeyError, TypeError, ValueError, IndexError):
        raise InputError(f"{path}: damaged; delete it and run again") from None
    return before, after


def _write(
    settings: TrialRunSettings,
    arms: list[Arm],
    losses: dict[str, np.ndarray],
    first: np.ndarray,
) -> dict[str, Any]:
    """Judge, and write the page, the figure and the JSON."""
    labels = [arm.label for arm in arms]
    seeds = len(losses[labels[0]])
    looks = looks_of(settings, arms)
    found = verdicts(losses, labels[0], looks[seeds])
    result: dict[str, Any] = {
        "format": "tqd-verify",
        "version": 1,
        "tool_version": __version__,
        "settings": settings.model_dump(
            mode="json", include=set(TrialSettings.model_fields)
        ),
        "baseline": labels[0],
        "seeds": seeds,
        "stopped_early": seeds < settings.seeds,
        "golden_clips": first.shape[1],
        "start_loss": float(first.mean()),
        "start_bucket_loss": first.mean((0, 1)).tolist(),
        "looks": [asdict(look) for look in looks.values()],
        "samplers": {
            label: {
                "loss": float(values.mean()),
                "loss_per_seed": values.mean((1, 2)).tolist(),
                "bucket_loss": values.mean((0, 1)).tolist(),
            }
            for label, values in losses.items()
        },
        "verdicts": {
            one.label: {
                "verdict": one.word,
                "difference": asdict(one.overall),
                "buckets": [asdict(each) for each in one.buckets],
            }
            for one in found
        },
    }
    write_json(settings.out / "verify.json", result)
    text = page(result)
    (settings.out / "verify.md").write_text(text + "\n", encoding="utf-8")
    write_figure(verify_figure(result), settings.out / "verify.png")
    return result
