"""Blocks of a network compiled whole by `torch.compile`, leaves included.

What a pass adds to a layer is an autograd function and a leaf (`zero_leaves.py`), which
compilers trace as any other. A block's graph therefore holds the whole block: layers,
norms, modulation, and the products that give the leaves their gradients. Graphs are
kept only while a pass is captured; outside, the network is what it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tqd_probe.core.errors import GradientError
from tqd_probe.models.placement import blocks_of

ALIKE = {torch.float64: 1e-9, torch.float32: 1e-3}  # of a gradient, else:
ALIKE_HALF = 0.1
BACKEND = "inductor"
# Blocks share a graph as far as they differ in tensors alone. Beyond so many graphs of
# one function torch would run the rest as they are written, and not say so.
MOST_GRAPHS = 64


class CompiledBlocks:
    """The blocks of a network, the members of its module lists, compiled.

    Attributes:
        inside: Modules that are part of what is compiled, by identity.
    """

    def __init__(self, network: nn.Module) -> None:
        """Check that there is something to compile.

        Args:
            network: The network.

        Raises:
            GradientError: If it has no blocks, or is compiled already.
        """
        for path, module in network.named_modules():
            if hasattr(module, "_orig_mod") or module._compiled_call_impl is not None:
                raise GradientError(
                    f"--compile on: {path or 'the network'} is compiled already; give"
                    " the network as it was before"
                )
        self._blocks = blocks_of(network)
        if not self._blocks:
            raise GradientError(
                f"--compile on: {type(network).__name__} has no list of blocks that"
                " could be compiled; use --compile off"
            )
        self.inside: dict[int, nn.Module] = {}
        self._forwards: list[tuple[nn.Module, Callable[..., Any]]] = []

    def choose(self, apart: set[nn.Module]) -> None:
        """Choose what is compiled: whole blocks; the parts of some.

        Args:
            apart: Modules with parameters that a graph cannot follow (tables that meet
                the clips other than in front): not compiled, only their parts.
        """
        units = [unit for block in self._blocks for unit in _units(block, apart)]
        self.inside = {id(m): m for unit in units for m in unit.modules()}
        # The same functions in all passes: new ones would be compiled anew.
        self._forwards = [
            (unit, torch.compile(unit.forward, backend=BACKEND)) for unit in units
        ]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the compiled form meanwhile.

        Yields:
            Nothing.

        Raises:
            GradientError: If torch cannot compile.
        """
        with ExitStack() as stack:
            stack.enter_context(
                torch._dynamo.config.patch(
                    recompile_limit=MOST_GRAPHS, fail_on_recompile_limit_hit=True
                )
            )
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


def check_alike(compiled: Tensor, written: Tensor, dtype: torch.dtype) -> None:
    """Compare what the two forms of a network gave.

    Args:
        compiled: Gradients or sketches ``[B, n]`` of the compiled form.
        written: Those of the network as it was written.
        dtype: Type in which the network computes.

    Raises:
        GradientError: If they differ by more than rounding.
    """
    norms = written.norm(dim=1).clamp_min(torch.finfo(written.dtype).tiny)
    gap = float(((compiled - written).norm(dim=1) / norms).max())
    if not gap <= ALIKE.get(dtype, ALIKE_HALF):
        raise GradientError(
            f"--compile on: compiled blocks give gradients that differ by {gap:.2g} of"
            " their norm; use --compile off"
        )


def computing_dtype(network: nn.Module) -> torch.dtype:
    """Return the type in which most of a network computes.

    Args:
        network: The network; a few of its parameters may have a wider type.

    Returns:
        The type of most of its parameters' elements.
    """
    counts: dict[torch.dtype, int] = {}
    for parameter in network.parameters():
        if parameter.is_floating_point():
            counts[parameter.dtype] = counts.get(parameter.dtype, 0) + parameter.numel()
    return max(counts, key=lambda kind: counts[kind], default=torch.float32)


def _units(module: nn.Module, apart: set[nn.Module]) -> Iterator[nn.Module]:
    """Find the largest parts of a module without those that stand apart."""
    if not isinstance(module, nn.ModuleList) and apart.isdisjoint(module.modules()):
        if any(True for _ in module.parameters()):
            yield module
    else:
        for part in module.children():
            yield from _units(part, apart)


def _put_back(module: nn.Module, forward: Callable[..., Any] | None) -> None:
    """Give a module its own forward again."""
    if forward is None:
        module.__dict__.pop("forward", None)
    else:
        module.forward = forward
