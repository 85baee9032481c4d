"""One capture engine: per-clip gradients of a batch in one forward and backward.

Hooks keep each layer's input and meet the gradient of its output; the layer's rule
(`layers.py`) turns the two into one gradient per clip, or hands both to the sink, which
sketches the gradient without forming it (`sinks.py`). Autograd itself then has no
weight gradient left to compute, so capture costs no more than a plain backward does.
Bare parameters are captured by `bare.py`. Fused attention and gradient checkpointing
stay as they are. What `torch.compile` made of a network is set aside for the pass; the
engine can compile the blocks itself (`compiled.py`). Products and sums are float32
(float64 for a float64 network).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from tqd_probe.core.errors import GradientError
from tqd_probe.gradients.bare import BareParameter
from tqd_probe.gradients.compiled import CompiledBlocks, check_alike
from tqd_probe.gradients.layers import Factors, Rule, factors_of, rule_of
from tqd_probe.gradients.layout import Layout
from tqd_probe.gradients.sinks import Captured, Sink, Whole

Losses = Callable[[], Tensor]
SHARDED = ("DTensor", "FlatParameter")


class _Anchor(torch.autograd.Function):
    """Identity whose output needs a gradient although no input does."""

    @staticmethod
    def forward(ctx: Any, anchor: Tensor, value: Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return None, None


class GradientCapture:
    """Captures the gradient of every clip of a batch, over the laid-out parameters.

    The network is changed only inside `per_clip`, and put back even on errors. The
    network must treat clips independently (no batch norm) and keep them in front.
    """

    def __init__(
        self,
        network: nn.Module,
        layout: Layout,
        sink: Sink | None = None,
        compiled: bool = False,
    ) -> None:
        """Plan the capture.

        Args:
            network: The network.
            layout: The parameters to capture and their order.
            sink: What becomes of the gradients; whole ones are kept by default.
            compiled: Compile the network's blocks for the passes. The first pass runs
                both forms and compares their gradients.

        Raises:
            GradientError: If the network mixes clips (batch norm), its parameters are
                sharded over processes (FSDP), or there is nothing to compile.
        """
        self.network, self.layout = network, layout
        self.sink: Sink = Whole(layout) if sink is None else sink
        self._compiled = CompiledBlocks(network) if compiled else None
        self._clips = [0]
        self._calls = 0  # of hooks in the last pass
        self._calls_as_written: int | None = None
        self._wide = torch.float32
        names: dict[int, str] = {}
        for name, parameter in network.named_parameters():
            names[id(parameter)] = name
            if type(parameter).__name__ in SHARDED or isinstance(
                parameter.data, DTensor
            ):
                raise GradientError(
                    f"parameter {name}: sharded over processes (FSDP), which per-clip"
                    " capture cannot read; load the whole network on each device, with"
                    " --dtype bf16 and --checkpointing on if memory is short"
                )
        self._layers: list[tuple[nn.Module, Rule, dict[str, str]]] = []
        self._bare: list[tuple[nn.Module, str, str]] = []
        for path, module in network.named_modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                raise GradientError(f"{path}: batch norm mixes clips; it has no cure")
            rule = rule_of(module)
            own = {
                attribute: names[id(parameter)]
                for attribute, parameter in module._parameters.items()
                if parameter is not None and names[id(parameter)] in layout.parameters
            }
            if not own:
                continue
            if rule is not None:
                self._layers.append((module, rule, own))
            else:
                self._bare += [(module, key, name) for key, name in own.items()]

    def per_clip(self, losses: Losses, clips: int) -> tuple[Tensor, Tensor]:
        """Run one batch and return the gradient of every clip's loss.

        Args:
            losses: Runs the network and returns the clips' losses ``[clips]``.
            clips: Number of clips in the batch.

        Returns:
            Gradients (or sketches) ``[clips, ...]`` and losses ``[clips]``, detached.

        Raises:
            GradientError: If a layer sees the clips other than in front, its input
                was changed in place, or a parameter is used in an unknown way.
        """
        found = self.capture(losses, clips)
        return found.gradients, found.losses

    def capture(self, losses: Losses, clips: int) -> Captured:
        """Run one batch and return all that the sink kept of it.

        Args:
            losses: Runs the network and returns the clips' losses ``[clips]``.
            clips: Number of clips in the batch.

        Returns:
            Gradients or sketches, norms, losses and products.

        Raises:
            GradientError: As `per_clip`; and if compiled blocks give other gradients.
        """
        if self._compiled is None:
            return self._pass(losses, clips, None)
        if self._calls_as_written is None:
            return self._first_compiled(losses, clips)
        return self._checked(losses, clips, self._compiled)

    def _first_compiled(self, losses: Losses, clips: int) -> Captured:
        """Run the network as written and compiled, and compare."""
        written = self._pass(losses, clips, None).gradients
        self._calls_as_written = self._calls
        assert self._compiled is not None
        try:
            return self._checked(losses, clips, self._compiled, written)
        except GradientError:
            # A bare parameter can be used in a way that allows no spreading, as Wan's
            # table where it meets a timestep per token: compile less.
            self._compiled = CompiledBlocks(self.network, parts=True)
            return self._checked(losses, clips, self._compiled, written)

    def _checked(
        self,
        losses: Losses,
        clips: int,
        form: CompiledBlocks,
        written: Tensor | None = None,
    ) -> Captured:
        """Run the compiled form; see that every layer was met, and nothing changed."""
        found = self._pass(losses, clips, form)
        if self._calls != self._calls_as_written:
            raise GradientError(
                f"--compile on: {self._calls} of {self._calls_as_written} layers were"
                " captured; use --compile off"
            )
        if written is not None:
            weights = next(self.network.parameters()).dtype
            check_alike(found.gradients, written, weights)
        return found

    def _pass(
        self, losses: Losses, clips: int, compiled: CompiledBlocks | None
    ) -> Captured:
        """Run one batch forward and backward, in one of the network's forms."""
        first = next(self.network.parameters())
        self._wide = torch.promote_types(first.dtype, torch.float32)
        self.sink.start(clips, self._wide, first.device)
        self._clips[0], self._calls = clips, 0
        # What others compiled runs as it was written: graphs have no place for hooks.
        form = (
            torch.compiler.set_stance("force_eager")
            if compiled is None
            else compiled.running()
        )
        with form, self._attached(compiled) as spread, torch.enable_grad():
            values = losses()
            if values.shape != (clips,):
                raise GradientError(
                    f"losses have shape {tuple(values.shape)}, expected ({clips},)"
                )
            values.sum().backward()
        for name, leaf in spread.items():
            if leaf.grad is not None:
                shape = self.layout.shapes[name]
                self.sink.record(name, leaf.grad.to(self._wide).view(clips, *shape))
        return self.sink.finish(values.detach())

    def covered_share(self, losses: Losses, clips: int) -> float:
        """Compare the captured sum over clips with plain autograd's gradient.

        Args:
            losses: Runs the network and returns the clips' losses ``[clips]``.
            clips: Number of clips in the batch.

        Returns:
            ``1 - |captured - plain|^2 / |plain|^2`` over the laid-out parameters: 1
            when all is captured, less by the share of whatever is missing or wrong.
            With a sketching sink both are sketched, and the share is an estimate.

        Raises:
            GradientError: If the gradient is zero, so that there is no share.
        """
        captured = self.per_clip(losses, clips)[0].double().sum(0)
        known = dict(self.network.named_parameters())
        wanted = [known[name] for name in self.layout.parameters]
        before = [parameter.requires_grad for parameter in known.values()]
        for parameter in known.values():
            parameter.requires_grad_(True)
        try:
            with torch.enable_grad():
                total = losses().sum()
            plain = torch.autograd.grad(total, wanted, allow_unused=True)
        finally:
            for parameter, needed in zip(known.values(), before):
                parameter.requires_grad_(needed)
        self.sink.start(1, self._wide, captured.device)
        for name, gradient in zip(self.layout.parameters, plain):
            if gradient is not None:
                self.sink.record(name, gradient[None].to(self._wide))
        flat = self.sink.finish(total.detach()).gradients[0].double()
        norm = flat.square().sum()
        if norm == 0:
            raise GradientError("the gradient of all probed parameters is zero")
        return float(1 - (captured - flat).square().sum() / norm)

    @contextmanager
    def _attached(self, compiled: CompiledBlocks | None) -> Iterator[dict[str, Tensor]]:
        """Hook the layers and replace the bare parameters; those spread, by name."""
        spread: dict[str, Tensor] = {}
        needed = [(p, p.requires_grad) for p in self.network.parameters()]
        handles, replaced = [], []
        try:
            for parameter, _ in needed:
                parameter.requires_grad_(False)
            for module, rule, own in self._layers:
                hook = self._hook(rule, factors_of(module), own)
                if compiled is not None:
                    hook = torch.compiler.disable(hook)
                handles.append(module.register_forward_hook(hook))
            for module, key, name in self._bare:
                original = module._parameters[key]
                assert original is not None
                replaced.append((module, key, original))
                leaf = None
                if compiled is not None:
                    leaf = compiled.spread(module, original, self._clips[0])
                if leaf is not None:
                    module._parameters[key] = spread[name] = leaf
                    continue
                module._parameters[key] = BareParameter.wrap(
                    original.data,
                    original.data,
                    (),
                    (self._recorder(name), self._clips, name),
                )
            yield spread
        finally:
            for handle in handles:
                handle.remove()
            for module, key, original in replaced:
                module._parameters[key] = original
            for parameter, flag in needed:
                parameter.requires_grad_(flag)

    def _recorder(self, name: str) -> Callable[[Tensor], None]:
        """Hand per-clip gradients of one parameter to the sink."""
        return lambda gradients: self.sink.record(name, gradients)

    def _hook(
        self, rule: Rule, factors: Factors | None, own: dict[str, str]
    ) -> Callable[..., Any]:
        """Make the forward hook of one layer."""
        recorders = {key: self._recorder(name) for key, name in own.items()}
        weight = own.get("weight", "")
        if not weight or not self.sink.takes_factors(weight):
            factors = None
        label = next(iter(own.values()))

        def forward(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Any:
            if not torch.is_grad_enabled():  # the first pass of a checkpointed block
                return None
            self._calls += 1
            if not inputs:
                raise GradientError(f"{label}: called without a positional input")
            rows, clips = len(inputs[0]), self._clips[0]
            if rows % clips:
                raise GradientError(
                    f"{label}: sees {rows} rows for {clips} clips; expand what is"
                    " shared over the batch, or leave the layer out with --params"
                )
            # Taken out by `backward`: hooks live as long as the graph, and inputs must
            # go as the pass goes back, as autograd's own do.
            held = [inputs[0].detach()]
            version = inputs[0]._version
            anchored = output
            if not output.requires_grad:
                anchor = torch.zeros((), device=output.device, requires_grad=True)
                anchored = _Anchor.apply(anchor, output)

            def backward(grad: Tensor) -> None:
                x = held.pop()
                if x._version != version:
                    raise GradientError(
                        f"{label}: its input was changed in place after use; leave the"
                        " layer out with --params"
                    )
                arguments = module, x.to(self._wide), grad.to(self._wide), clips
                if factors is not None:
                    left, right = factors(*arguments)
                    self.sink.record_factors(weight, left, right)
                    if "bias" in recorders:
                        recorders["bias"](left.sum(1))
                    return
                found = rule(*arguments)
                for key, record in recorders.items():
                    record(found[key])

            anchored.register_hook(backward)
            return anchored

        return forward
