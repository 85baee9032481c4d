"""Module groups: which part of which block a parameter belongs to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

_LORA = ".lora_"


@dataclass(frozen=True)
class Grouping:
    """How a network names its blocks and what they hold.

    Attributes:
        stacks: Names of the block lists in the order they run; blocks are counted
            through (``block20`` is the first single-stream block of HunyuanVideo).
        parts: Module group by the start of the name inside a block; the longest
            start that fits decides.
        head: Starts of names of what turns features into the prediction.
        modulation: Starts of names of what turns the noise level into scales and
            shifts for all blocks. What is none of these is ``embedding``.
    """

    stacks: tuple[str, ...]
    parts: dict[str, str]
    head: tuple[str, ...]
    modulation: tuple[str, ...] = field(default=())

    def groups(self, names: Iterable[str]) -> dict[str, list[str]]:
        """Sort parameters into groups.

        Args:
            names: All parameter names of a network. Where it carries a LoRA, only
                the LoRA's are sorted: these are what is probed and trained.

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
    """Return the block number of a parameter of a stack."""
    if not name.startswith(stack + "."):
        return None
    return int(name.removeprefix(stack + ".").split(".", 1)[0])


def _order(group: str) -> tuple[int, int, str]:
    """Sort groups from the input of the network to its output."""
    place = {"embedding": 0, "modulation": 1, "head": 3}.get(group, 2)
    block = int(group[5:].split(".")[0]) if place == 2 else 0
    return place, block, group
