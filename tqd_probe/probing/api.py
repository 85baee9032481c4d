"""The probe as a function, for notebooks and other programs."""

from __future__ import annotations

from typing import Any

from tqd_probe.probing.measure import measure
from tqd_probe.probing.passes import run
from tqd_probe.probing.prepare import prepare
from tqd_probe.probing.settings import RunSettings


def probe(settings: RunSettings | None = None, **options: Any) -> dict[str, Any]:
    """Measure gradient similarity; resumes like the command line.

    Args:
        settings: The settings; or give them one by one.
        **options: Fields of `RunSettings`, such as ``ckpt="tiny"``.

    Returns:
        The content of ``gradsim.json``, which `derive_schedule` takes.
    """
    settings = settings or RunSettings(**options)
    prepared = prepare(settings, quiet=True)
    try:
        run(prepared, quiet=True)
        return measure(prepared, ["probe"])
    finally:
        prepared.store.release()
