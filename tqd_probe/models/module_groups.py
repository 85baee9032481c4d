"""Module groups: the block and part of a network a parameter belongs to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

_LORA = ".lora_"


@dataclass(frozen=True)
class Grouping:
    """How a network names its blocks and their parts.

    Attributes:
        stacks: Names of the block lists in the order they run. Blocks are numbered
            across lists: ``block20`` is the first single-stream block of HunyuanVideo.
        parts: Part by prefix of the name inside a block; the longest prefix decides.
        head: Prefixes of the output layers.
        modulation: Prefixes of the layers that turn the noise level into scales and
            shifts for all blocks. All other parameters are ``embedding``.
    """

    stacks: tuple[str, ...]
    parts: dict[str, str]
    head: tuple[str, ...]
    modulation: tuple[str, ...] = field(default=())

    def groups(self, names: Iterable[str]) -> dict[str, list[str]]:
        """Group parameters.

        Args:
            names: All parameter names of a network. With a LoRA, only the LoRA's are
                grouped: they are what is probed and trained.

        Returns:
            Names by ``embedding``, ``modulation``, ``blockNN.PART`` and ``head``, in
            the order of the network.
        """
        names = list(names)
        names = [name for name in names if _LORA in name] or names
        first: dict[str, int] = {}
        count = 0
        for stack in self.stacks:
            first[stack] = count
            inside = (_block(name, stack) for name in names)
            count += 1 + max((at for at in inside if at is not None), default=-1)
        found: dict[str, list[str]] = {}
        for name in names:
            found.setdefault(self._group(name, first), []).append(name)
        return {group: found[group] for group in sorted(found, key=_order)}

    def _group(self, name: str, first: dict[str, int]) -> str:
        for stack, offset in first.items():
            block = _block(name, stack)
            if block is None:
                continue
            rest = name.removeprefix(f"{stack}.{block}.")
            fits = [start for start in self.parts if rest.startswith(start)]
            part = self.parts[max(fits, key=len)] if fits else "modulation"
            return f"block{block + offset:02d}.{part}"
        if name.startswith(self.head):
            return "head"
        return "modulation" if name.startswith(self.modulation) else "embedding"


def _block(name: str, stack: str) -> int | None:
    """Return the block number of a parameter within a stack; None outside it."""
    if not name.startswith(stack + "."):
        return None
    return int(name.removeprefix(stack + ".").split(".", 1)[0])


def _order(group: str) -> tuple[int, int, str]:
    """Sort key of groups, from the input of the network to its output."""
    place = {"embedding": 0, "modulation": 1, "head": 3}.get(group, 2)
    block = int(group[5:].split(".")[0]) if place == 2 else 0
    return place, block, group
