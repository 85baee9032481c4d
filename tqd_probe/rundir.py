"""The run directory: one configuration, refused when it has changed."""

from __future__ import annotations

import logging
import platform
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tqd_probe.errors import ConfigurationChanged, InputError
from tqd_probe.files import digest, read_json, write_json
from tqd_probe.gradients.store import GradientStore
from tqd_probe.settings import ProbeSettings, RunSettings
from tqd_probe.version import __version__

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
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out}: is a file; choose a directory")
    known = read_json(note, "a run's configuration") if note.exists() else None
    if known is None and out.exists() and any(out.iterdir()) and not overwrite:
        raise InputError(
            f"--out {out}: not empty and not a run; choose another directory"
        )
    changed = [] if known is None else _changes(known, description)
    if changed and not overwrite:
        shown = "; ".join(changed[:3]) + ("; ..." if len(changed) > 3 else "")
        raise ConfigurationChanged(
            f"--out {out}: made with another configuration ({shown}); use another"
            " --out, or --overwrite"
        )
    folder = out / "gradients"
    if overwrite and not GradientStore.matches(folder, gradients):
        shutil.rmtree(folder, ignore_errors=True)
    if known is None or changed:
        write_json(note, description)
    return GradientStore(folder, gradients)


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
