"""Blocks of a network compiled by `torch.compile`, with the capture's hooks outside.

A graph has no place for hooks. Every layer that has a rule is therefore called as it
was written (`torch.compiler.disable`), and what lies between layers is compiled: norms
without weights, modulation, rotation, gates, activation functions, which are the many
small passes over memory of a transformer block. A bare parameter of a compiled block is
spread over the clips, so that autograd itself keeps the clips apart.

Graphs are kept only while a pass is captured; outside, the network is what it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tqd_probe.core.errors import GradientError
from tqd_probe.gradients.layers import rule_of

ALIKE = {torch.float64: 1e-9, torch.float32: 1e-3}  # of a gradient, else:
ALIKE_HALF = 0.1
BACKEND = "inductor"


class CompiledBlocks:
    """The blocks of a network in two forms: as written, and compiled.

    A network's blocks are the members of its module lists. Where a block has a bare
    parameter that cannot be spread over clips, its parts are compiled instead.
    """

    def __init__(self, network: nn.Module, parts: bool = False) -> None:
        """Prepare to compile; the first pass compiles.

        Args:
            network: The network.
            parts: Compile the parts of every block that has a bare parameter, and
                spread none.

        Raises:
            GradientError: If it has no blocks, or is compiled already.
        """
        for path, module in network.named_modules():
            if hasattr(module, "_orig_mod") or module._compiled_call_impl is not None:
                raise GradientError(
                    f"--compile on: {path or 'the network'} is compiled already; give"
                    " the network as it was before"
                )
        lists = [part for part in network.children() if isinstance(part, nn.ModuleList)]
        units = [unit for part in lists for unit in _units(part, not parts)]
        if not units:
            raise GradientError(
                f"--compile on: {type(network).__name__} has no list of blocks that"
                " could be compiled; use --compile off"
            )
        inside = {id(module): module for unit in units for module in unit.modules()}
        self._inside = inside
        # The same functions in all passes: new ones would be compiled anew.
        self._forwards: list[tuple[nn.Module, Callable[..., Any]]] = [
            (unit, torch.compile(unit.forward, backend=BACKEND)) for unit in units
        ]
        self._forwards += [
            (module, torch.compiler.disable(module.forward))
            for module in inside.values()
            if rule_of(module) is not None
        ]

    def spread(
        self, module: nn.Module, parameter: Tensor, clips: int
    ) -> nn.Parameter | None:
        """Spread a bare parameter over the clips, if its module is compiled.

        Args:
            module: The module that owns it.
            parameter: Its value ``[1, ...]``.
            clips: Number of clips B.

        Returns:
            A leaf ``[B, ...]`` whose gradient is one per clip; None outside of what is
            compiled.
        """
        if id(module) not in self._inside:
            return None
        value = parameter.detach().expand(clips, *parameter.shape[1:])
        return nn.Parameter(value.clone())

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the compiled form meanwhile.

        Yields:
            Nothing.

        Raises:
            GradientError: If torch cannot compile.
        """
        with ExitStack() as stack:
            for module, forward in self._forwards:
                before = module.__dict__.get("forward")
                stack.callback(_put_back, module, before)
                module.forward = forward
            try:
                yield
            except torch._dynamo.exc.TorchDynamoException as error:
                line = str(error).strip().splitlines()[0]
                raise GradientError(
                    f"--compile on: torch cannot compile the blocks: {line}; use"
                    " --compile off"
                ) from None


def check_alike(compiled: Tensor, written: Tensor, weights: torch.dtype) -> None:
    """Compare what the two forms of a network gave.

    Args:
        compiled: Gradients or sketches ``[B, n]`` of the compiled form.
        written: Those of the network as it was written.
        weights: Number type of the network.

    Raises:
        GradientError: If they differ by more than rounding.
    """
    norms = written.norm(dim=1).clamp_min(torch.finfo(written.dtype).tiny)
    gap = float(((compiled - written).norm(dim=1) / norms).max())
    if not gap <= ALIKE.get(weights, ALIKE_HALF):
        raise GradientError(
            f"--compile on: compiled blocks give gradients that differ by {gap:.2g} of"
            " their norm; use --compile off"
        )


def _units(module: nn.Module, spread: bool) -> Iterator[nn.Module]:
    """Find the largest parts of a module that can be compiled."""
    if isinstance(module, nn.ModuleList):
        for part in module:
            yield from _units(part, spread)
    elif rule_of(module) is None:
        bare = (
            p
            for part in module.modules()
            if rule_of(part) is None
            for p in part._parameters.values()
            if p is not None
        )
        if all(spread and p.ndim > 0 and len(p) == 1 for p in bare):
            yield module
        else:
            for part in module.children():
                yield from _units(part, spread)


def _put_back(module: nn.Module, forward: Callable[..., Any] | None) -> None:
    """Give a module its own forward again."""
    if forward is None:
        module.__dict__.pop("forward", None)
    else:
        module.forward = forward
