"""The samplers under comparison, as the option ``--samplers`` names them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tqd_probe.core.errors import InputError
from tqd_probe.sampling.names import BY_SCHEDULE, SAMPLERS


@dataclass(frozen=True)
class ComparedSampler:
    """A sampler under comparison, perhaps with a schedule.

    Attributes:
        label: Its name in tables, unique.
        name: Name of the timestep sampler.
        schedule: Its schedule file, or None.
    """

    label: str
    name: str
    schedule: Path | None


def parse_compared_samplers(text: str) -> list[ComparedSampler]:
    """Read the samplers to compare.

    Args:
        text: ``NAME[=SCHEDULE]`` separated by commas.

    Returns:
        The samplers, at least two, the baseline first; a repeated one is numbered.

    Raises:
        InputError: If a sampler is unknown, lacks its schedule, or stands alone.
    """
    found: list[ComparedSampler] = []
    for part in text.split(","):
        name, equals, path = part.strip().partition("=")
        if name not in SAMPLERS:
            raise InputError(
                f"{name!r} is no sampler; choose from {', '.join(SAMPLERS)}, as in"
                " uniform,bands=bands.json"
            )
        if name in BY_SCHEDULE and not path:
            raise InputError(f"{name} needs a schedule: write {name}=bands.json")
        if equals and not path:
            raise InputError(f"{part.strip()!r}: no file after the equals sign")
        label = f"{name}={Path(path).name}" if path else name
        same = sum(each.label.split("#")[0] == label for each in found)
        if same:
            label += f"#{same + 1}"
        found.append(ComparedSampler(label, name, Path(path) if path else None))
    if len(found) < 2:
        raise InputError("one sampler is nothing to compare; give two or more")
    return found
