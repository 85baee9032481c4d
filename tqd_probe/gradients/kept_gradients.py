"""What is kept of the per-clip gradients of a pass: all, sketches, or squared norms.

A plan says for each parameter of which size its leaf is and what its gradient
becomes (`LeafPlan`), and puts the leaves' gradients together at the end of a pass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from tqd_probe.gradients.layout import Layout
from tqd_probe.gradients.metric import FullMetric, Metric
from tqd_probe.gradients.reused_memory import ReusedMemory
from tqd_probe.gradients.sketch import Padded, Sketch
from tqd_probe.gradients.zero_leaves import Form, PlacedForm


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


@dataclass(frozen=True)
class LeafPlan:
    """The leaf of a parameter.

    Attributes:
        size: Numbers per clip.
        form: What becomes of its gradients ``[B, *shape]``: ``[B, size]``.
        projected: Whether a linear layer may give ``(dW Q)^T`` without forming dW.
        follower: Parameter whose entries may stand behind in the same leaf; "": none.
    """

    size: int
    form: Form
    projected: bool = False
    follower: str = ""


class KeptGradients(Protocol):
    """Plans the leaves, and puts their gradients together."""

    layout: Layout

    def plan(self, name: str) -> LeafPlan:
        """Plan the leaf of a parameter."""
        ...

    def start(self, clips: int, dtype: torch.dtype, device: torch.device) -> None:
        """Begin a pass."""
        ...

    def collect(
        self, found: dict[str, Tensor], uses: dict[str, int], losses: Tensor
    ) -> Captured:
        """Put the gradients of leaves together."""
        ...

    def prepare(
        self, names: list[str], device: torch.device, dtype: torch.dtype
    ) -> None:
        """Bring projections to where they are needed."""
        ...

    def projection(self, name: str, device: torch.device, dtype: torch.dtype) -> Padded:
        """Return the projection of a parameter whose plan says so."""
        ...


class Unplaced:
    """What needs no memory before a pass."""

    def start(self, clips: int, dtype: torch.dtype, device: torch.device) -> None:
        """Begin a pass.

        Args:
            clips: Number of clips.
            dtype: Type of sums.
            device: Where the network is.
        """


class Unprojected:
    """What keeps gradients that are formed: no plan asks for a projection."""

    def projection(self, name: str, device: torch.device, dtype: torch.dtype) -> Padded:
        """Never called.

        Raises:
            AssertionError: Always.
        """
        raise AssertionError(name)

    def prepare(
        self, names: list[str], device: torch.device, dtype: torch.dtype
    ) -> None:
        """Prepare nothing.

        Args:
            names: Empty.
            device: Where the layers are.
            dtype: Their type.
        """


class _Place(PlacedForm):
    """The span of a parameter in the buffer of whole gradients."""

    def __init__(self, start: int, stop: int) -> None:
        self._start, self._stop = start, stop
        self._buffer: Tensor | None = None

    def begin(self, buffer: Tensor | None) -> None:
        """Have a place for one gradient of the coming pass; None: have none."""
        self._buffer = buffer

    def take(self) -> Tensor | None:
        """Return the place; a second use of a parameter has none."""
        buffer, self._buffer = self._buffer, None
        return None if buffer is None else buffer[:, self._start : self._stop]


class Whole(Unprojected):
    """Keeps whole gradients."""

    def __init__(self, layout: Layout, metric: FullMetric | None = None) -> None:
        """Keep gradients of a layout.

        Args:
            layout: The parameters.
            metric: What gradients are multiplied by, if anything.
        """
        self.layout, self.metric = layout, metric
        self._places = {n: _Place(*span) for n, span in layout.parameters.items()}
        self._buffer = torch.empty(0)
        self._memory = ReusedMemory()

    def plan(self, name: str) -> LeafPlan:
        """Plan the leaf of a parameter: its whole gradient.

        Args:
            name: Parameter name.

        Returns:
            The plan.
        """
        return LeafPlan(math.prod(self.layout.shapes[name]), self._places[name])

    def start(self, clips: int, dtype: torch.dtype, device: torch.device) -> None:
        """Allocate the gradients of a pass: large ones are formed in their place.

        Args:
            clips: Number of clips.
            dtype: Type of sums.
            device: Where the network is.
        """
        self._drop()  # of a pass that failed
        self._buffer = self._memory.take((clips, self.layout.size), dtype, device)
        for place in self._places.values():
            place.begin(self._buffer)

    def _drop(self) -> None:
        """Hold the gradients of no pass: they would be in memory with the next ones."""
        self._buffer = torch.empty(0)
        for place in self._places.values():
            place.begin(None)

    def collect(
        self, found: dict[str, Tensor], uses: dict[str, int], losses: Tensor
    ) -> Captured:
        """Put whole gradients side by side.

        Args:
            found: Gradient of each leaf ``[B, n]``; missing ones are zero.
            uses: How often each parameter was used.
            losses: Losses ``[B]``.

        Returns:
            The gradients.
        """
        if len(self._buffer) != len(losses):  # not of a pass: plain gradients
            self.start(len(losses), _kind_of(found, losses), losses.device)
        gradients = self._buffer
        self._drop()
        for name, (start, stop) in self.layout.parameters.items():
            part, value = gradients[:, start:stop], found.get(name)
            if value is None:
                part.zero_()
            elif value.data_ptr() != part.data_ptr() or value.is_meta:
                part.copy_(value)
        if self.metric is not None:
            gradients *= self.metric.scale.to(gradients)
        return Captured(gradients, None, losses)


class Sketched(Unplaced):
    """Keeps sketches, and exact norms where they cost nothing extra.

    Norms are in the metric of the sketch, if it has one.
    """

    def __init__(self, sketch: Sketch, exact_norms: bool = False) -> None:
        """Keep sketches.

        Args:
            sketch: The sketch.
            exact_norms: Form every layer's gradient, one layer at a time, so that all
                squared norms are exact.
        """
        self.sketch, self.layout = sketch, sketch.layout
        self.exact_norms = exact_norms
        names: dict[int, list[str]] = {}
        for name in self.layout.parameters:
            names.setdefault(sketch.group_of(name), []).append(name)
        # Squared norms are known of groups of which every gradient is formed.
        self._formed = {
            group: some
            for group, some in names.items()
            if self.exact_norms or not any(sketch.columns(name) for name in some)
        }

    def plan(self, name: str) -> LeafPlan:
        """Plan the leaf of a parameter: the entries that are count-sketched.

        Args:
            name: Parameter name.

        Returns:
            The plan. Where norms are wanted too, a norm follows the entries.
        """
        shape, columns = self.layout.shapes[name], self.sketch.columns(name)
        size = columns * shape[0] if columns else math.prod(shape)
        if not self.exact_norms:
            # One function for all layers: compiled blocks then share their graph.
            entries = partial(self.sketch.entries, name) if columns else all_entries
            follower = self.sketch.follower(name)
            return LeafPlan(size, entries, columns > 0, follower)

        def form(gradients: Tensor) -> Tensor:
            gradients = gradients.reshape(-1, *shape)
            norm = self._norm(name, gradients)[:, None]
            return torch.cat([self.sketch.entries(name, gradients), norm], 1)

        return LeafPlan(size + 1, form)

    def _scaled(self, name: str, gradients: Tensor) -> Tensor:
        """Return the gradients ``[B, *shape]`` of a parameter in the metric."""
        metric = self.sketch.metric
        return gradients if metric is None else metric.scaled(name, gradients)

    def projection(self, name: str, device: torch.device, dtype: torch.dtype) -> Padded:
        """Return the projection of a parameter.

        Args:
            name: Parameter name.
            device: Where it is needed.
            dtype: Its type.

        Returns:
            ``[in, n]`` and an offset ``[n]``: the projected input ends in ones, which
            give the bias. On a CPU the offset is None, and a one must be appended.
        """
        return self.sketch.padded_projection(name, device, dtype)

    def prepare(
        self, names: list[str], device: torch.device, dtype: torch.dtype
    ) -> None:
        """Bring projections to where they are needed, in one copy.

        Args:
            names: Parameter names whose plan is projected.
            device: Where they are needed.
            dtype: Their type.
        """
        self.sketch.load_projections(names, device, dtype)

    def collect(
        self, found: dict[str, Tensor], uses: dict[str, int], losses: Tensor
    ) -> Captured:
        """Count-sketch the gradients of leaves.

        Args:
            found: Gradient of each leaf ``[B, n]``; missing ones are zero.
            uses: How often each parameter was used: parts of one parameter have no
                squared norm of their own.
            losses: Losses ``[B]``.

        Returns:
            The sketches, with norms.
        """
        out = self.sketch.blank(len(losses), _kind_of(found, losses), losses.device)
        formed: dict[str, Tensor] = {}  # norms, by parameter
        if self.exact_norms:
            formed = {name: value[:, -1] for name, value in found.items()}
            found = {name: value[:, :-1] for name, value in found.items()}
        zero = out.new_zeros(len(out))
        unknown = zero + torch.nan
        norms = [unknown] * len(self.sketch.groups)
        for group, names in self._formed.items():
            used = [name for name in names if name in found]
            if self.exact_norms:
                parts = [formed[n] if uses.get(n, 1) < 2 else unknown for n in used]
            else:
                parts = [self._norm(name, found[name]) for name in used]
            if len(parts) > 1:
                parts = [torch.linalg.vector_norm(torch.stack(parts), dim=0)]
            norms[group] = parts[0] if parts else zero
        self.sketch.add(found, out)
        return Captured(out, torch.stack(norms, 1).double().square(), losses)

    def _norm(self, name: str, gradients: Tensor) -> Tensor:
        """Return the norms ``[B]`` of the gradients of a parameter, in the metric."""
        # one pass over memory, where squares would be written and read again
        weighed = self._scaled(name, gradients).flatten(1)
        return torch.linalg.vector_norm(weighed, dim=1)


class SquaredNorms(Unplaced, Unprojected):
    """Keeps the squared norm of each parameter's gradient only.

    Attributes:
        squares: Sum over the clips of the last batch, by parameter.
    """

    def __init__(self, layout: Layout, metric: Metric | None = None) -> None:
        """Measure the parameters of a layout.

        Args:
            layout: The parameters.
            metric: What gradients are multiplied by, if anything.
        """
        self.layout, self.metric = layout, metric
        self.squares: dict[str, float] = {}

    def plan(self, name: str) -> LeafPlan:
        """Plan the leaf of a parameter: one number.

        Args:
            name: Parameter name.

        Returns:
            The plan.
        """

        def form(gradients: Tensor) -> Tensor:
            rows = gradients.reshape(-1, *self.layout.shapes[name])
            if self.metric is not None:
                rows = self.metric.scaled(name, rows)
            rows = rows.flatten(1)
            return torch.linalg.vector_norm(rows, dim=1, keepdim=True).square()

        return LeafPlan(1, form)

    def collect(
        self, found: dict[str, Tensor], uses: dict[str, int], losses: Tensor
    ) -> Captured:
        """Sum squared norms; parts of one parameter are treated as orthogonal.

        Args:
            found: Gradient of each leaf ``[B, 1]``; missing ones are zero.
            uses: How often each parameter was used.
            losses: Losses ``[B]``.

        Returns:
            The losses, without gradients.
        """
        self.squares = dict.fromkeys(self.layout.parameters, 0.0)
        if found:
            totals = torch.cat(list(found.values()), 1).double().sum(0).tolist()
            self.squares |= dict(zip(found, totals))
        return Captured(losses.new_zeros(len(losses), 0), None, losses)


def all_entries(gradients: Tensor) -> Tensor:
    """Return gradients ``[B, *shape]`` side by side ``[B, n]``."""
    return gradients.flatten(1)


def _kind_of(found: dict[str, Tensor], losses: Tensor) -> torch.dtype:
    """Return the type of sums."""
    return next((value.dtype for value in found.values()), losses.dtype)
