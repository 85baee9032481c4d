"""The run directory: one configuration, refused when it has changed."""

from __future__ import annotations

import fcntl
import logging
import platform
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

from tqd_probe.core.errors import ConfigurationChanged, InputError
from tqd_probe.core.files import digest, read_json, write_json
from tqd_probe.core.processes import Processes
from tqd_probe.core.version import __version__
from tqd_probe.gradients.store import GradientStore
from tqd_probe.probing.settings import ProbeSettings, RunSettings

LIBRARIES = ("torch", "diffusers", "transformers", "numpy", "scipy")
log = logging.getLogger("tqd_probe")


def run_directory(settings: RunSettings) -> Path:
    """Choose the run directory.

    Args:
        settings: The run's settings.

    Returns:
        ``--out``, or ``runs/NAME-HASH`` where the hash is that of the configuration,
        so that the same command resumes and another one starts anew.
    """
    if settings.out is not None:
        return settings.out
    config = settings.model_dump(mode="json", include=set(ProbeSettings.model_fields))
    name = Path(settings.ckpt).name or "checkpoint"
    return Path("runs") / f"{name}-{digest(config)[:8]}"


def describe(settings: RunSettings, inputs: dict[str, Any]) -> dict[str, Any]:
    """Resolve what decides a run's results.

    Args:
        settings: The run's settings.
        inputs: Fingerprints of model, clips and layout.

    Returns:
        The content of ``run.json``.
    """
    config = settings.model_dump(mode="json", include=set(ProbeSettings.model_fields))
    return {
        "settings": config,
        "inputs": inputs,
        "versions": {
            "tqd_probe": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in LIBRARIES},
        },
    }


def claim(
    out: Path, description: dict[str, Any], gradients: str, overwrite: bool
) -> GradientStore:
    """Take a run directory for a configuration, new or the same as before.

    Args:
        out: The run directory.
        description: Content of ``run.json``.
        gradients: Fingerprint of everything that shapes gradients.
        overwrite: Replace a run of another configuration; its gradients are kept
            only where they have the same fingerprint.

    Returns:
        The run's gradient store.

    Raises:
        InputError: If the directory cannot be written to, or holds something else.
        ConfigurationChanged: If it holds a run of another configuration.
    """
    note = out / "run.json"
    if not str(out).strip("./ "):
        raise InputError(f"--out {out}: give the run a directory of its own")
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out}: is a file; choose a directory")
    known = read_json(note, "a run's configuration") if note.exists() else None
    if known is None and any(not p.name.startswith(".") for p in _content(out)):
        raise InputError(
            f"--out {out}: not empty and not a run; choose another directory"
        )
    if known is not None and not _is_run(known):
        raise InputError(f"{note}: damaged; use another --out")
    changed = [] if known is None else _changes(known, description)
    if changed and not overwrite:
        shown = "; ".join(changed[:3]) + ("; ..." if len(changed) > 3 else "")
        raise ConfigurationChanged(
            f"--out {out}: made with another configuration ({shown}); use another"
            " --out, or --overwrite"
        )
    lock = take_lock(out)
    folder = out / "gradients"
    if (
        overwrite
        and known is not None
        and (folder / "store.json").exists()
        and not GradientStore.matches(folder, gradients)
    ):
        shutil.rmtree(folder)
    if known is None or changed:
        write_json(note, description)
    return GradientStore(folder, gradients, lock)


def shared_claim(
    out: Path,
    description: dict[str, Any],
    gradients: str,
    overwrite: bool,
    who: Processes,
) -> GradientStore:
    """Take a run directory for all processes: the first claims it, the others join.

    Args:
        out: The run directory.
        description: Content of ``run.json``.
        gradients: Fingerprint of everything that shapes gradients.
        overwrite: Replace a run of another configuration.
        who: The processes that share the run.

    Returns:
        This process's view of the run's gradient store.
    """
    stores: list[GradientStore] = []
    who.main_says(lambda: stores.append(claim(out, description, gradients, overwrite)))
    if stores:
        return stores[0]
    return GradientStore(out / "gradients", gradients, clean=False)


def _is_run(known: Any) -> bool:
    """Say whether a value has the form of ``run.json``."""
    parts = ("settings", "inputs", "versions")
    return isinstance(known, dict) and all(
        isinstance(known.get(part), dict) for part in parts
    )


def take_lock(out: Path) -> IO[str]:
    """Keep a run directory for one process.

    Args:
        out: The run directory; made if missing.

    Returns:
        The open lock file; the lock ends when it is closed or the process dies.

    Raises:
        InputError: If another process works in it, or it cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        handle = open(out / ".lock", "w")  # noqa: SIM115 - open until the run ends
    except OSError as error:
        raise InputError(
            f"--out {out}: cannot be written ({error.strerror}); choose another"
            " directory"
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        raise InputError(
            f"--out {out}: another process is working in it; wait for it, or use"
            " another --out"
        ) from None
    return handle


def _content(out: Path) -> list[Path]:
    """List what a directory holds; nothing where there is none."""
    return list(out.iterdir()) if out.is_dir() else []


def _changes(known: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Say what differs between two configurations, settings first."""
    found = []
    for part in ("settings", "inputs"):
        old, new = known.get(part, {}), wanted[part]
        for key in new:
            if old.get(key) != new[key]:
                name = f"--{key.replace('_', '-')}" if part == "settings" else key
                if part == "settings":
                    found.append(f"{name} was {old.get(key)}, now {new[key]}")
                else:
                    found.append(f"{name} differ")
    old = known.get("versions", {}).get("tqd_probe")
    if old != wanted["versions"]["tqd_probe"]:
        found.append(f"tqd_probe was {old}")
    return found


def write_log(out: Path) -> logging.Handler:
    """Send log messages to ``log.txt`` of a run.

    Args:
        out: The run directory.

    Returns:
        The handler, to be closed by the caller.

    Raises:
        InputError: If the file cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(out / "log.txt", encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"--out {out}: cannot be written ({error.strerror}); choose another"
            " directory"
        ) from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    return handler
