"""Where the time of a sketched pass goes that the floor does not take.

The floor is a forward pass and the backward pass of activations. Beside it a sketched
pass spends, kind by kind:

    rows of layers    projections of large layers, and folding their rows
    layers formed     gradients that are small, or that a pilot asks for, and folding
    copies            output gradients and inputs that do not lie in order
    other rules       norms, convolutions, embeddings, layers that are not factored
    vectors           biases, norms and modulation, folded

and what hooks themselves and fresh memory cost, which is not timed: page faults are
counted, since on a virtual machine one can cost tens of microseconds.
"""

from __future__ import annotations

import resource
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from torch import Tensor

from analyses.cost import models
from tqd_probe.gradients.capture import GradientCapture
from tqd_probe.gradients.gradient_energy import measure_energy
from tqd_probe.gradients.kept_gradients import Captured, Sketched
from tqd_probe.gradients.sketch import DEFAULT_SIZE, Sketch


class Clock:
    """Adds up seconds by kind; of kinds that contain another, only the outer."""

    def __init__(self) -> None:
        """Begin at zero."""
        self.spent: dict[str, float] = defaultdict(float)
        self._inside = False

    def timed(self, kind: str, action: Callable[..., Any], *given: Any) -> Any:
        """Run an action and add its seconds to a kind.

        Args:
            kind: The kind.
            action: What to run.
            given: Its arguments.

        Returns:
            What the action returns.
        """
        if self._inside:
            return action(*given)
        began, self._inside = time.perf_counter(), True
        try:
            return action(*given)
        finally:
            self.spent[kind] += time.perf_counter() - began
            self._inside = False


class TimedSink(Sketched):
    """A sketching sink that knows what it spends."""

    clock: Clock

    def record(self, name: str, gradients: Tensor) -> None:
        """Time `Sketched.record`."""
        self.clock.timed("vectors", super().record, name, gradients)

    def record_factors(self, name: str, left: Tensor, right: Tensor) -> None:
        """Time `Sketched.record_factors`."""
        kind = "rows of layers" if self._by_factors(name) else "layers formed"
        self.clock.timed(kind, super().record_factors, name, left, right)

    def finish(self, losses: Tensor) -> Captured:
        """Time `Sketched.finish`."""
        return self.clock.timed("vectors", super().finish, losses)


class TimedCapture(GradientCapture):
    """A capture engine whose rules know what they spend."""

    clock: Clock

    def _hook(self, rule: Any, factors: Any, own: dict[str, str]) -> Any:
        """Time the rules, and the factors of linear layers."""

        def timed(action: Any, kind: str) -> Any:
            return lambda *given: self.clock.timed(kind, action, *given)

        return super()._hook(
            timed(rule, "other rules"),
            None if factors is None else timed(factors, "copies"),
            own,
        )


def study(repetitions: int, widths: dict[int, tuple[int, int]]) -> dict[str, Any]:
    """Time the kinds at some widths.

    Args:
        repetitions: Turns; plain, floor and sketched passes take turns.
        widths: Blocks and clips by width.

    Returns:
        For each width ratios to a plain pass, shares of a plain pass by kind, and page
        faults per pass.
    """
    found = {}
    for width, (layers, clips) in widths.items():
        network = models.wan(width, layers)
        task = models.Task(network, clips)
        layout = models.layout_of(network)
        energy = measure_energy(network, layout, [(task.losses, clips)])
        sink = TimedSink(Sketch(layout, DEFAULT_SIZE, energy))
        engine = TimedCapture(network, layout, sink)
        engine.clock = sink.clock = Clock()
        faults: dict[str, list[int]] = defaultdict(list)

        def counted(name: str, action: Callable[[], Any], into: Any = faults) -> Any:
            def run() -> None:
                before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
                action()
                after = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
                into[name].append(after - before)

            return run

        modes = {
            "plain": counted("plain", task.plain),
            "floor": counted("floor", task.floor),
            "sketched": counted("sketched", task.capturing(engine)),
        }
        for action in modes.values():  # so that no first touch is counted
            action()
        engine.clock.spent.clear()
        faults.clear()
        timed = models.interleaved(modes, repetitions)
        passes = repetitions + 1  # `interleaved` warms up, too
        plain = timed["plain"]["seconds"]
        found[str(width)] = {
            "ratio": {mode: value["ratio"] for mode, value in timed.items()},
            "share_of_plain": {
                kind: spent / passes / plain
                for kind, spent in sorted(engine.clock.spent.items())
            },
            "page_faults": {
                mode: sorted(counts)[len(counts) // 2]
                for mode, counts in faults.items()
            },
        }
        print(width, found[str(width)], flush=True)
    return found
