"""One capture engine: per-clip gradients of a batch in one forward and backward.

Hooks keep each layer's input and meet the gradient of its output; the layer's rule
(`layers.py`) turns the two into one gradient per clip. Autograd itself then has no
weight gradient left to compute, so capture costs about what a plain backward does.
Bare parameters are captured by `bare.py`. Fused attention and gradient checkpointing
stay as they are. Products and sums are float32 (float64 for a float64 network).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tqd_probe.errors import GradientError
from tqd_probe.gradients.bare import BareParameter
from tqd_probe.gradients.layers import Rule, rule_of
from tqd_probe.gradients.layout import Layout

Losses = Callable[[], Tensor]


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

    def __init__(self, network: nn.Module, layout: Layout) -> None:
        """Plan the capture.

        Args:
            network: The network.
            layout: The parameters to capture and their order.

        Raises:
            GradientError: If the network mixes clips (batch norm).
        """
        self.network, self.layout = network, layout
        self._clips = [0]
        self._buffer = torch.empty(0)
        self._seen: set[str] = set()
        names: dict[int, str] = {}
        for name, parameter in network.named_parameters():
            names[id(parameter)] = name
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
            Gradients ``[clips, layout.size]`` and losses ``[clips]``, detached.

        Raises:
            GradientError: If a layer sees the clips other than in front, its input
                was changed in place, or a parameter is used in an unknown way.
        """
        first = next(self.network.parameters())
        wide = torch.promote_types(first.dtype, torch.float32)
        shape = (clips, self.layout.size)
        self._buffer = torch.zeros(shape, dtype=wide, device=first.device)
        self._seen.clear()
        self._clips[0] = clips
        with self._attached(), torch.enable_grad():
            values = losses()
            if values.shape != (clips,):
                raise GradientError(
                    f"losses have shape {tuple(values.shape)}, expected ({clips},)"
                )
            values.sum().backward()
        gradients, self._buffer = self._buffer, torch.empty(0)
        return gradients, values.detach()

    def covered_share(self, losses: Losses, clips: int) -> float:
        """Compare the captured sum over clips with plain autograd's gradient.

        Args:
            losses: Runs the network and returns the clips' losses ``[clips]``.
            clips: Number of clips in the batch.

        Returns:
            ``1 - |captured - plain|^2 / |plain|^2`` over the laid-out parameters: 1
            when all is captured, less by the share of whatever is missing or wrong.

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
        flat = torch.cat(
            [
                torch.zeros(p.numel(), dtype=torch.float64, device=captured.device)
                if g is None
                else g.double().flatten()
                for p, g in zip(wanted, plain)
            ]
        )
        norm = flat.square().sum()
        if norm == 0:
            raise GradientError("the gradient of all probed parameters is zero")
        return float(1 - (captured - flat).square().sum() / norm)

    @contextmanager
    def _attached(self) -> Iterator[None]:
        """Hook the layers and replace the bare parameters for one pass."""
        needed = [(p, p.requires_grad) for p in self.network.parameters()]
        handles, replaced = [], []
        try:
            for parameter, _ in needed:
                parameter.requires_grad_(False)
            for module, rule, own in self._layers:
                handles.append(module.register_forward_hook(self._hook(rule, own)))
            for module, key, name in self._bare:
                original = module._parameters[key]
                assert original is not None
                replaced.append((module, key, original))
                module._parameters[key] = BareParameter.wrap(
                    original.data,
                    original.data,
                    (),
                    (self._recorder(name), self._clips, name),
                )
            yield
        finally:
            for handle in handles:
                handle.remove()
            for module, key, original in replaced:
                module._parameters[key] = original
            for parameter, flag in needed:
                parameter.requires_grad_(flag)

    def _recorder(self, name: str) -> Callable[[Tensor], None]:
        """Add per-clip gradients of one parameter to the buffer."""
        start, stop = self.layout.parameters[name]

        def record(gradients: Tensor) -> None:
            part = self._buffer[:, start:stop]
            rows = gradients.reshape(len(part), -1).to(part.dtype)
            if name in self._seen:  # a shared parameter collects every use
                part += rows
            else:
                part.copy_(rows)
                self._seen.add(name)

        return record

    def _hook(self, rule: Rule, own: dict[str, str]) -> Callable[..., Any]:
        """Make the forward hook of one layer."""
        recorders = {key: self._recorder(name) for key, name in own.items()}
        label = next(iter(own.values()))

        def forward(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Any:
            if not torch.is_grad_enabled():  # the first pass of a checkpointed block
                return None
            if not inputs:
                raise GradientError(f"{label}: called without a positional input")
            x, clips = inputs[0].detach(), self._clips[0]
            if x.shape[0] % clips:
                raise GradientError(
                    f"{label}: sees {x.shape[0]} rows for {clips} clips; expand what is"
                    " shared over the batch, or leave the layer out with --params"
                )
            version = inputs[0]._version
            anchored = output
            if not output.requires_grad:
                anchor = torch.zeros((), device=output.device, requires_grad=True)
                anchored = _Anchor.apply(anchor, output)

            def backward(grad: Tensor) -> None:
                if x._version != version:
                    raise GradientError(
                        f"{label}: its input was changed in place after use; leave the"
                        " layer out with --params"
                    )
                wide = self._buffer.dtype
                found = rule(module, x.to(wide), grad.to(wide), clips)
                for key, record in recorders.items():
                    record(found[key])

            anchored.register_hook(backward)
            return anchored

        return forward
