"""What becomes of the gradients that the capture engine meets: kept, or sketched.

A sink is started for a batch, takes the per-clip gradients of one parameter after the
other, in any order and in any number of parts, and hands out what it made of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from tqd_probe.gradients.count_sketch import Workspace
from tqd_probe.gradients.layout import Layout
from tqd_probe.gradients.sketch import Sketch


@dataclass(frozen=True)
class Captured:
    """What is kept of the gradients of a batch.

    Attributes:
        gradients: Whole gradients ``[B, layout.size]`` or sketches ``[B, size]``.
        norms: Exact squared norms ``[B, groups]`` beside sketches, NaN where a
            group's gradient was not formed; None beside whole gradients.
        losses: Losses ``[B]``.
    """

    gradients: Tensor
    norms: Tensor | None
    losses: Tensor


class Sink(Protocol):
    """Takes per-clip gradients, parameter by parameter."""

    def start(self, clips: int, wide: torch.dtype, device: torch.device) -> None:
        """Begin a batch."""
        ...

    def takes_factors(self, name: str) -> bool:
        """Say whether a parameter's gradient is wanted as factors."""
        ...

    def record(self, name: str, gradients: Tensor) -> None:
        """Take gradients ``[B, ...]``, or a part of them, of one parameter."""
        ...

    def record_factors(self, name: str, left: Tensor, right: Tensor) -> None:
        """Take ``sum_t left_t right_t^T``, or a part of it, of one parameter."""
        ...

    def finish(self, losses: Tensor) -> Captured:
        """End the batch."""
        ...


class Whole:
    """Keeps whole gradients."""

    def __init__(
        self, layout: Layout, scale: Tensor | None = None, ring: int = 0
    ) -> None:
        """Keep gradients of a layout.

        Args:
            layout: The parameters.
            scale: What gradients are multiplied by ``[layout.size]``: the metric.
            ring: Number of buffers used in turn: the gradients of a batch are
                overwritten that many batches later. 0: a new one each time. (Fresh
                memory costs a small network as much as forming its gradients does.)
        """
        self.layout, self.scale = layout, scale
        self._ring: list[Tensor | None] = [None] * ring
        self._buffer = torch.empty(0)
        self._seen: set[str] = set()

    def start(self, clips: int, wide: torch.dtype, device: torch.device) -> None:
        """Begin a batch.

        Args:
            clips: Number of clips.
            wide: Type of sums.
            device: Where the network runs.
        """
        # Not zeroed: nearly every parameter is overwritten; `finish` fills the others.
        self._buffer = self._next((clips, self.layout.size), wide, device)
        self._seen.clear()

    def _next(
        self, shape: tuple[int, int], wide: torch.dtype, device: torch.device
    ) -> Tensor:
        """Take the buffer whose turn it is, or a new one."""
        if not self._ring:
            return torch.empty(shape, dtype=wide, device=device)
        found = self._ring.pop(0)
        if found is None or found.shape != shape or found.dtype != wide:
            found = torch.empty(shape, dtype=wide, device=device)
        self._ring.append(found)
        return found

    def takes_factors(self, name: str) -> bool:
        """Want factors: their product is formed in its place, without a copy.

        Args:
            name: Parameter name.

        Returns:
            True.
        """
        return True

    def record(self, name: str, gradients: Tensor) -> None:
        """Put gradients in their place; a shared parameter collects every use.

        Args:
            name: Parameter name.
            gradients: ``[B, ...]``.
        """
        start, stop = self.layout.parameters[name]
        part = self._buffer[:, start:stop]
        rows = gradients.reshape(len(part), -1).to(part.dtype)
        if name in self._seen:
            part += rows
        else:
            part.copy_(rows)
            self._seen.add(name)

    def record_factors(self, name: str, left: Tensor, right: Tensor) -> None:
        """Form a gradient from its factors.

        Args:
            name: Parameter name.
            left: ``[B, tokens, out]``.
            right: ``[B, tokens, in]``.
        """
        if name in self._seen or left.dtype != self._buffer.dtype:
            self.record(name, torch.bmm(left.transpose(1, 2), right))
            return
        start, stop = self.layout.parameters[name]
        place = self._buffer[:, start:stop].view(
            len(left), left.shape[-1], right.shape[-1]
        )
        torch.bmm(left.transpose(1, 2), right, out=place)
        self._seen.add(name)

    def finish(self, losses: Tensor) -> Captured:
        """End the batch.

        Args:
            losses: Losses ``[B]``.

        Returns:
            The gradients; zero for parameters that were not used.
        """
        for name in self.layout.parameters.keys() - self._seen:
            start, stop = self.layout.parameters[name]
            self._buffer[:, start:stop] = 0
        gradients, self._buffer = self._buffer, torch.empty(0)
        if self.scale is not None:
            gradients *= self.scale.to(gradients)
        return Captured(gradients, None, losses)


class Sketched:
    """Keeps sketches, and exact norms where they cost nothing extra."""

    def __init__(
        self,
        sketch: Sketch,
        exact_norms: bool = False,
        scale: Tensor | None = None,
    ) -> None:
        """Keep sketches.

        Args:
            sketch: The sketch.
            exact_norms: Form every layer's gradient, one layer at a time, so that all
                squared norms are exact.
            scale: What gradients are multiplied by first ``[layout.size]``: the metric;
                every layer's gradient is formed then, as for exact norms.
        """
        self.sketch, self.scale = sketch, scale
        self.exact_norms = exact_norms or scale is not None
        self._unformed = {
            sketch.group_of(name)
            for name, shape in sketch.layout.shapes.items()
            if len(shape) == 2 and self._by_factors(name)
        }
        self._out = self._norms = torch.empty(0)
        self._held: dict[str, Tensor] = {}
        self._seen: set[str] = set()
        self._workspace = Workspace()

    def start(self, clips: int, wide: torch.dtype, device: torch.device) -> None:
        """Begin a batch.

        Args:
            clips: Number of clips.
            wide: Type of sums.
            device: Where the network runs.
        """
        self._out = self.sketch.blank(clips, wide, device)
        groups = len(self.sketch.groups)
        self._norms = torch.zeros((clips, groups), dtype=torch.float64, device=device)
        self._held.clear()
        self._seen.clear()

    def takes_factors(self, name: str) -> bool:
        """Want factors: what must be formed is formed in memory used again.

        Args:
            name: Parameter name.

        Returns:
            True, but for small parameters, whose gradients are held.
        """
        return not self.sketch.small(name)

    def _by_factors(self, name: str) -> bool:
        """Whether a layer is sketched by rows without forming its gradient."""
        return not self.exact_norms and self.sketch.rows(name) > 0

    def record(self, name: str, gradients: Tensor) -> None:
        """Sketch gradients; vectors wait until all their parts have come.

        Args:
            name: Parameter name.
            gradients: ``[B, ...]``.
        """
        rows = gradients.reshape(len(self._out), -1).to(self._out.dtype)
        if self.scale is not None:
            start, stop = self.sketch.layout.parameters[name]
            rows = rows * self.scale[start:stop].to(rows)
        if self.sketch.small(name):
            held = self._held.get(name)
            self._held[name] = rows if held is None else held + rows
            return
        shape = self.sketch.layout.shapes[name]
        entries = self.sketch.entries(name, rows.reshape(-1, *shape))
        self.sketch.count(name, entries, self._out)
        self._measure(name, rows)

    def record_factors(self, name: str, left: Tensor, right: Tensor) -> None:
        """Sketch a gradient, without forming it if it is sketched by rows alone.

        Args:
            name: Parameter name.
            left: ``[B, tokens, out]``.
            right: ``[B, tokens, in]``.
        """
        wide = self._out.dtype
        left, right = left.to(wide), right.to(wide)
        if not self._by_factors(name):
            shape = len(left), left.shape[2], right.shape[2]
            out = self._workspace.take(shape, left)
            self.record(name, torch.bmm(left.transpose(1, 2), right, out=out))
            return
        entries = self.sketch.entries_of_factors(name, left, right)
        self.sketch.count(name, entries, self._out)

    def finish(self, losses: Tensor) -> Captured:
        """End the batch.

        Args:
            losses: Losses ``[B]``.

        Returns:
            The sketches, with norms.
        """
        for group, squares in enumerate(self.sketch.count_small(self._held, self._out)):
            self._norms[:, group] += squares
        self._held.clear()
        for group in self._unformed:
            self._norms[:, group] = torch.nan
        out, self._out = self._out, torch.empty(0)
        return Captured(out, self._norms, losses)

    def _measure(self, name: str, rows: Tensor) -> None:
        """Add the squared norm of a formed gradient.

        Parts of one parameter have no norm of their own.
        """
        group = self.sketch.group_of(name)
        if group in self._unformed:
            return
        square = torch.linalg.vector_norm(rows, dim=1).square()
        self._norms[:, group] += torch.nan if name in self._seen else square
        self._seen.add(name)
