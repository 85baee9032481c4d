"""One probe from settings to result: prepare, check, claim, capture, measure, release.

Everything that probes goes through here: the command line, `tqd_probe.probe`, the pilot
of ``--plan`` and training's ``--reprobe-every``.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tqd_probe.core.config_file import CONFIG_FILE, write_config
from tqd_probe.core.float32_precision import float32_precision
from tqd_probe.core.run_directory import add_log_file, remove_log_file
from tqd_probe.models.resolved_settings import describe_types
from tqd_probe.probing.clip_usefulness import write_usefulness
from tqd_probe.probing.compute_result import compute_result
from tqd_probe.probing.decision import decide
from tqd_probe.probing.derive_schedule import derive_schedule
from tqd_probe.probing.passes import capture_all
from tqd_probe.probing.prepare import check_mixture, prepare
from tqd_probe.probing.result import ProbeResult
from tqd_probe.probing.self_check import self_check
from tqd_probe.probing.settings import ProbeRunSettings
from tqd_probe.probing.wall_time import add_achieved
from tqd_probe.probing.workspace import Workspace

RESULT_FILE = "gradsim.json"
SCHEDULE_FILE = "bands.json"
USEFULNESS_FILE = "clips.csv"
log = logging.getLogger("tqd_probe")


def run_probe(settings: ProbeRunSettings, *, progress: bool = True) -> ProbeResult:
    """Measure gradient similarity; resumes what is in the run directory.

    Writes ``gradsim.json``, ``bands.json`` and ``clips.csv`` there.

    Args:
        settings: The run's settings; for one expert.
        progress: Show progress bars and costs.

    Returns:
        The result, in every process of the run.
    """
    with captured_gradients(settings, progress=progress) as workspace:
        path = workspace.out / RESULT_FILE

        def finish() -> None:
            began = time.perf_counter()
            result = compute_result(workspace)
            schedule = derive_schedule(result)
            schedule.save(workspace.out / SCHEDULE_FILE)
            decision = decide(result, schedule)
            result.model_copy(update={"decision": decision}).save(path)
            write_usefulness(workspace.out / USEFULNESS_FILE, workspace)
            add_achieved(workspace.out, "results", time.perf_counter() - began)
            _report_store(workspace, progress)
            log.info("done")

        workspace.processes.broadcast_from_main(finish)
        return ProbeResult.load(path)


def _report_store(workspace: Workspace, progress: bool) -> None:
    """Say how much of gradients was written and is left, if any was written."""
    written, kept = workspace.store.sizes()
    if not written:
        return
    text = (
        f"gradients: {written / 1e6:.3g} MB written, {kept / 1e6:.3g} MB kept in"
        f" {workspace.store.folder}"
    )
    log.info(text)
    if progress:
        print(text, file=sys.stderr, flush=True)


@contextmanager
def captured_gradients(
    settings: ProbeRunSettings,
    *,
    progress: bool = True,
    clips_at_most: int | None = None,
) -> Iterator[Workspace]:
    """Capture the gradients of a probe, and keep its run directory for the block.

    Args:
        settings: The run's settings; for one expert.
        progress: Show progress bars and costs.
        clips_at_most: Take the first so many clips of each class; None for all that
            are asked for.

    Yields:
        The probe, with all levels in its store.
    """
    with float32_precision(settings.tf32 == "on"):
        yield from _captured_gradients(settings, progress, clips_at_most)


def _captured_gradients(
    settings: ProbeRunSettings, progress: bool, clips_at_most: int | None
) -> Iterator[Workspace]:
    """Capture gradients, in the float32 precision that is in force."""
    began = time.perf_counter()
    workspace = prepare(settings, progress=progress, clips_at_most=clips_at_most)
    prepared = time.perf_counter()
    workspace.seconds["encoding"] = prepared - began
    is_main = workspace.processes.is_main
    check_mixture(workspace)
    checked = None
    if settings.self_check:
        checked = workspace.processes.broadcast_from_main(
            lambda: str(self_check(workspace))
        )
        if progress and is_main:
            print(checked, file=sys.stderr, flush=True)
    workspace.seconds["checks"] = time.perf_counter() - prepared
    workspace.claim()  # what can refuse the run has passed
    handler = add_log_file(workspace.out) if is_main else None
    if is_main:
        write_config(settings, workspace.out / CONFIG_FILE)
    try:
        log.info("probe of %s, settings in run.json", settings.ckpt)
        log.info(describe_types(workspace.settings))
        for clip, reason in workspace.encoded.quarantine.items():
            log.warning("quarantine: %s: %s", clip, reason)
        if checked is not None:
            log.info(checked)
        began = time.perf_counter()
        capture_all(workspace, progress)
        workspace.capture_seconds = time.perf_counter() - began
        yield workspace
    except BaseException as error:
        log.error("ended early: %s", " ".join(str(error).split()) or repr(error))
        raise
    finally:
        workspace.release()
        if handler is not None:
            remove_log_file(handler)
