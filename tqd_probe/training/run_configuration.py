"""The run directory of a training: one configuration, resumed only when asked to."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

from tqd_probe.core.errors import ConfigurationChanged, InputError
from tqd_probe.core.files import read_json, write_json
from tqd_probe.core.run_directory import lock_directory
from tqd_probe.core.version import __version__
from tqd_probe.training.settings import TrainRunSettings, TrainSettings

EARLY = ("log.txt", "quarantine.json", "logs")  # written before run.json
LIBRARIES = ("torch", "diffusers", "transformers", "peft", "accelerate", "numpy")


def describe(settings: TrainRunSettings, inputs: dict[str, Any]) -> dict[str, Any]:
    """Resolve what decides the trained weights.

    Args:
        settings: The run's settings.
        inputs: Fingerprints of model, clips and schedule.

    Returns:
        The content of ``run.json``.
    """
    return {
        "settings": settings.model_dump(
            mode="json", include=set(TrainSettings.model_fields)
        ),
        "inputs": inputs,
        "versions": {
            "tqd_probe": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in LIBRARIES},
        },
    }


def claim(
    out: Path, description: dict[str, Any], resume: bool, write: bool = True
) -> IO[str]:
    """Take a run directory.

    Args:
        out: The run directory.
        description: What `describe` returned.
        resume: Whether a run that is there may be continued.
        write: Write ``run.json``; without it the directory is only looked at and
            locked, before slow work.

    Returns:
        The open lock; the directory is taken until it is closed.

    Raises:
        InputError: If it holds something else, or a run and `resume` is not asked.
        ConfigurationChanged: If the run there has another configuration.
    """
    note = out / "run.json"
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out}: is a file; choose a directory")
    content = list(out.iterdir()) if out.exists() else []
    odd = [p for p in content if not p.name.startswith(".") and p.name not in EARLY]
    if odd and not note.exists():
        raise InputError(
            f"--out {out}: not empty and not a training; choose another directory"
        )
    if note.exists():
        if not resume:
            raise InputError(
                f"--out {out}: holds a training; go on with --resume, or choose another"
                " directory"
            )
        known = read_json(note, "a training's configuration")
        changed = changes(known, description)
        if changed:
            shown = "; ".join(changed[:3]) + ("; ..." if len(changed) > 3 else "")
            raise ConfigurationChanged(
                f"--out {out}: --resume with another configuration ({shown}); use the"
                " former one, or another --out"
            )
    lock = lock_directory(out)
    if write:
        write_json(note, description)
    return lock


def changes(known: Any, wanted: dict[str, Any]) -> list[str]:
    """Say what differs between two configurations.

    A training with a constant learning rate may be made longer: its first steps are
    those of the shorter one.

    Args:
        known: Content of ``run.json``.
        wanted: The configuration now.

    Returns:
        One phrase per difference.
    """
    whole = isinstance(known, dict) and all(
        isinstance(known.get(part), dict) for part in ("settings", "inputs")
    )
    if not whole:
        return ["run.json is damaged"]
    found = []
    now = wanted["settings"]
    for key, value in now.items():
        old = known["settings"].get(key)
        longer = key == "steps" and now["lr_schedule"] == "constant"
        if old != value and not (longer and isinstance(old, int) and value > old):
            found.append(f"--{key.replace('_', '-')} was {old}, now {value}")
    for key, value in wanted["inputs"].items():
        if known["inputs"].get(key) != value:
            found.append(f"{key} differ")
    return found
