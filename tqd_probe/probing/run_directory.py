"""The run directory of a probe: one configuration, refused when it has changed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from tqd_probe.core.errors import ConfigurationChanged
from tqd_probe.core.files import digest, write_json
from tqd_probe.core.processes import Processes
from tqd_probe.core.run_directory import (
    DESCRIPTION_FILE,
    RunDescription,
    describe_run,
    differences,
    lock_directory,
    read_description,
    shorten,
)
from tqd_probe.gradients.store import GradientStore
from tqd_probe.probing.settings import ProbeRunSettings, ProbeSettings

LIBRARIES = ("torch", "diffusers", "transformers", "numpy", "scipy")
# Left out of a run directory's name where they are not given, so that runs made before
# there were such options are found again.
ADDED_LATER = ("lora_alpha", "pipeline")


def recorded_settings(settings: ProbeRunSettings) -> dict[str, Any]:
    """Return the settings that decide a probe's results, as JSON values.

    Args:
        settings: The run's settings.

    Returns:
        Values by field of `ProbeSettings`; where and how fast it ran is left out.
    """
    return settings.model_dump(mode="json", include=set(ProbeSettings.model_fields))


def run_directory(settings: ProbeRunSettings) -> Path:
    """Choose the run directory.

    Args:
        settings: The run's settings.

    Returns:
        ``--out``, or ``runs/NAME-HASH`` where the hash is that of the configuration,
        so that the same command resumes and another one gets another directory.
    """
    if settings.out is not None:
        return settings.out
    name = Path(settings.ckpt).name or "checkpoint"
    decided = recorded_settings(settings)
    for later in ADDED_LATER:
        if decided[later] is None:
            del decided[later]
    if decided["exact_resume"] == "auto":  # "on" was the default before
        decided["exact_resume"] = "on"
    return Path("runs") / f"{name}-{digest(decided)[:8]}"


def describe_probe(
    settings: ProbeRunSettings, inputs: dict[str, Any]
) -> RunDescription:
    """Describe a probe for ``run.json``.

    Args:
        settings: The run's settings.
        inputs: Fingerprints of model, clips and layout.

    Returns:
        The description.
    """
    return describe_run(recorded_settings(settings), inputs, LIBRARIES)


def check_run_directory(
    out: Path, description: RunDescription, overwrite: bool
) -> tuple[bool, bool]:
    """Check that a configuration may use a run directory; creates nothing.

    Args:
        out: The run directory.
        description: The configuration; inputs that it leaves out are not compared.
        overwrite: Whether a run of another configuration may be replaced.

    Returns:
        Whether a run is there, and whether it has another configuration.

    Raises:
        ConfigurationChanged: If it holds a run of another configuration.
    """
    known = read_description(out, "run")
    if known is None:
        return False, False
    changed = differences(known, description)
    old_version = known.versions.get("tqd_probe")
    if old_version != description.versions["tqd_probe"]:
        changed.append(f"tqd_probe was {old_version}")
    if changed and not overwrite:
        raise ConfigurationChanged(
            f"--out {out}: made with another configuration ({shorten(changed)}); use"
            " another --out, or --overwrite"
        )
    return True, bool(changed)


def claim_run_directory(
    out: Path, description: RunDescription, gradients: str, overwrite: bool
) -> GradientStore:
    """Reserve a run directory for a configuration, new or the same as before.

    Args:
        out: The run directory.
        description: Content of ``run.json``.
        gradients: Fingerprint of everything that shapes gradients.
        overwrite: Replace a run of another configuration; its gradients are kept
            only where they have the same fingerprint.

    Returns:
        The run's gradient store, which holds the lock.
    """
    exists, changed = check_run_directory(out, description, overwrite)
    lock = lock_directory(out)
    folder = out / "gradients"
    stored = (folder / "store.json").exists()
    if overwrite and exists and stored and not GradientStore.matches(folder, gradients):
        shutil.rmtree(folder)
    if not exists or changed:
        write_json(out / DESCRIPTION_FILE, description.model_dump())
    return GradientStore(folder, gradients, lock)


def claim_for_all_processes(
    out: Path,
    description: RunDescription,
    gradients: str,
    overwrite: bool,
    processes: Processes,
) -> GradientStore:
    """Reserve a run directory in the main process; the others share it.

    Args:
        out: The run directory.
        description: Content of ``run.json``.
        gradients: Fingerprint of everything that shapes gradients.
        overwrite: Replace a run of another configuration.
        processes: The processes that share the run.

    Returns:
        This process's view of the run's gradient store.
    """
    stores: list[GradientStore] = []

    def claim() -> None:
        stores.append(claim_run_directory(out, description, gradients, overwrite))

    processes.broadcast_from_main(claim)
    if stores:
        return stores[0]
    return GradientStore(folder=out / "gradients", fingerprint=gradients, clean=False)
