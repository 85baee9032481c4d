"""Per-clip gradients of a batch in one forward and one backward pass.

Every clip has a leaf of its own for every parameter; the gradients of the leaves are
the gradients of the clips, or sketches of them (`zero_leaves.py`). A pass is one
`torch.autograd.grad(losses.sum(), leaves)`. Leaves are attached to layers by forward
hooks that hold nothing (`layers.py`), and to parameters outside of layers by
`shared_parameters.py`. No gradient of a weight is formed by autograd, so a sketched
pass costs less than a plain one; fused attention, gradient checkpointing, compiled
blocks, sharded and quantised weights work as they do in training. Sums are float32
(float64 for a float64 network).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tqd_probe.core.errors import GradientError
from tqd_probe.gradients.compiled import CompiledBlocks, check_alike, computing_dtype
from tqd_probe.gradients.kept_gradients import Captured, KeptGradients, Whole
from tqd_probe.gradients.layers import (
    Attach,
    LayerLeaves,
    attach_norm,
    rule_of,
    scale_tells_input,
)
from tqd_probe.gradients.layout import Layout
from tqd_probe.gradients.plain_gradients import plain_gradients
from tqd_probe.gradients.products import wide
from tqd_probe.gradients.shared_parameters import SharedParameter
from tqd_probe.gradients.zero_leaves import SpreadLeaf
from tqd_probe.models.placement import device_of

Losses = Callable[[], Tensor]
COPIES = ("none", "norms", "all")  # layers whose outputs are copied, as networks need


class GradientCapture:
    """Captures the gradient of every clip of a batch, over the laid-out parameters.

    The network is changed only inside a pass, and put back even on errors. It must
    treat clips independently (no batch norm) and keep them in front.
    """

    def __init__(
        self,
        network: nn.Module,
        layout: Layout,
        kept: KeptGradients | None = None,
        compiled: bool = False,
    ) -> None:
        """Plan the capture.

        Args:
            network: The network.
            layout: The parameters to capture and their order.
            kept: What is kept of the gradients; by default they are kept whole.
            compiled: Compile the network's blocks for the passes. The first pass runs
                both forms and compares their gradients.

        Raises:
            GradientError: If the network mixes clips (batch norm), or there is nothing
                to compile.
        """
        self.network, self.layout = network, layout
        self.kept: KeptGradients = Whole(layout) if kept is None else kept
        self._compiled = CompiledBlocks(network) if compiled else None
        self._copies = COPIES[0]
        self._compared = False
        self._direct: set[str] = set()  # shared parameters that are their own leaves
        self._broadcast: dict[str, bool] = {}  # shared parameters, by how they are used
        self._plans = {name: self.kept.plan(name) for name in layout.parameters}
        self._sizes = {name: plan.size for name, plan in self._plans.items()}
        # Walking through the modules of a large network takes milliseconds.
        self._parameters = list(network.parameters())
        self._dtype = computing_dtype(network)
        self._reused: tuple[Any, dict[str, Tensor]] = None, {}
        self._clips = 0
        self._uses: dict[str, int] = {}
        self._leaves: dict[str, Tensor] = {}
        self._layers: list[tuple[LayerLeaves, Attach]] = []
        self._shared: list[tuple[nn.Module, dict[str, str]]] = []
        names = {id(p): name for name, p in network.named_parameters()}
        for path, module in network.named_modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                raise GradientError(f"{path}: batch norm mixes clips; it has no cure")
            own = {
                attribute: names[id(parameter)]
                for attribute, parameter in module._parameters.items()
                if parameter is not None and names[id(parameter)] in layout.parameters
            }
            if own:
                self._plan_module(module, own)
        self._join_biases()
        self._prepare()

    def _plan_module(self, module: nn.Module, own: dict[str, str]) -> None:
        """Plan the leaves of a module's own parameters."""
        rule = rule_of(module)
        if rule is None:
            self._shared.append((module, own))
            return
        plans = {key: self._plans[name] for key, name in own.items()}
        scaled = scale_tells_input(module)
        leaves = LayerLeaves(module, own, plans, self.kept, {}, scaled)
        self._layers.append((leaves, rule))

    def _join_biases(self) -> None:
        """Let the leaf of a projected weight hold its layer's bias too, where it can.

        One leaf costs less than two, and its gradient is a product as it was formed.
        """
        users = Counter(
            name for own, _ in self._layers for name in own.names.values()
        ) + Counter(name for _, names in self._shared for name in names.values())
        for own, _ in self._layers:
            weight, bias = own.names.get("weight", ""), own.names.get("bias", "")
            follows = own.projected and bias and self._plans[weight].follower == bias
            if follows and users[weight] == users[bias] == 1:
                self._sizes[weight] += self._sizes.pop(bias)

    def _prepare(self) -> None:
        """Bring projections to where their layers are, those of one type at once."""
        places: dict[tuple[torch.device, torch.dtype], list[LayerLeaves]] = {}
        for own, _ in self._layers:
            weight = own.layer._parameters.get("weight")
            if own.projected and weight is not None:
                floating = weight.is_floating_point()
                dtype = weight.dtype if floating else self._dtype  # quantised
                places.setdefault((weight.device, dtype), []).append(own)
        for (device, dtype), some in places.items():
            names = [own.names["weight"] for own in some]
            self.kept.prepare(names, device, dtype)
            for own, name in zip(some, names):
                own.padded = self.kept.projection(name, device, dtype)

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
        """Run one batch and return all that is kept of it.

        Args:
            losses: Runs the network and returns the clips' losses ``[clips]``.
            clips: Number of clips in the batch.

        Returns:
            Gradients or sketches, norms and losses.

        Raises:
            GradientError: As `per_clip`; and if compiled blocks give other gradients.
        """
        if self._compiled is None:
            return self._pass(losses, clips, None)
        if self._compared:
            return self._pass(losses, clips, self._compiled)
        written = self._pass(losses, clips, None).gradients
        self._compiled.choose(
            {
                module
                for module, names in self._shared
                if not all(self._broadcast.get(name) for name in names.values())
            }
        )
        found = self._pass(losses, clips, self._compiled)
        check_alike(found.gradients, written, self._dtype)
        self._compared = True
        return found

    def _pass(
        self, losses: Losses, clips: int, compiled: CompiledBlocks | None
    ) -> Captured:
        """Run one batch forward and backward, in one of the network's forms."""
        while True:
            try:
                return self._one_pass(losses, clips, compiled)
            except RuntimeError as error:
                # Some attention writes into the output of a norm or a projection.
                if "modified inplace" not in str(error) or self._copies == COPIES[-1]:
                    raise
                self._copies = COPIES[COPIES.index(self._copies) + 1]

    def _one_pass(
        self, losses: Losses, clips: int, compiled: CompiledBlocks | None
    ) -> Captured:
        """Run one batch, with outputs of layers copied where `_copies` says so."""
        self._clips, self._uses = clips, {}
        self.kept.start(clips, wide(self._dtype), device_of(self._parameters))
        # What others compiled runs as it was written: its graphs have no leaves.
        form = (
            torch.compiler.set_stance("force_eager")
            if compiled is None
            else compiled.running()
        )
        with form, self._attached(compiled), torch.enable_grad():
            values = losses()
            if values.shape != (clips,):
                raise GradientError(
                    f"losses have shape {tuple(values.shape)}, expected ({clips},)"
                )
            found = self._gradients(values)
        return self.kept.collect(found, self._uses, values.detach())

    def _gradients(self, values: Tensor) -> dict[str, Tensor]:
        """Return the gradients of the leaves that were used, by parameter."""
        uses = self._uses  # counted until here: checkpoints run layers again
        self._uses = {}
        try:
            gradients = torch.autograd.grad(
                values.sum(), list(self._leaves.values()), allow_unused=True
            )
        except RuntimeError as error:
            if "modified by an inplace operation" not in str(error):
                raise
            raise GradientError(
                "an input of a layer was changed in place after use; leave the layer"
                " out with --params"
            ) from error
        finally:
            self._uses = uses
        pairs = zip(self._leaves, gradients)
        found = {name: value for name, value in pairs if value is not None}
        for name in self._direct & found.keys():
            shape = len(values), *self.layout.shapes[name]
            wider = found[name].to(wide(found[name].dtype)).view(shape)
            found[name] = self._plans[name].form(wider)
        return found

    def covered_share(self, losses: Losses, clips: int) -> float:
        """Compare the captured sum over clips with plain autograd's gradient.

        The gradient of a quantised weight is that of the weight it stands for
        (`plain_gradients`).

        Args:
            losses: Runs the network and returns the clips' losses ``[clips]``.
            clips: Number of clips in the batch.

        Returns:
            ``1 - |captured - plain|^2 / |plain|^2`` over the laid-out parameters: 1
            when all is captured, less by the share of whatever is missing or wrong.
            With a sketch both are sketched, and the share is an estimate.

        Raises:
            GradientError: If the gradient is zero, so that there is no share.
        """
        captured = self.per_clip(losses, clips)[0].double().sum(0)
        entries: dict[str, Tensor] = {}

        def take(name: str, gradient: Tensor) -> None:
            found = self._plans[name].form(gradient[None].to(wide(gradient.dtype)))
            entries[name] = entries[name] + found if name in entries else found

        plain = plain_gradients(self.network, self.layout.parameters, losses, take)
        one = plain.sum()[None]
        flat = self.kept.collect(entries, {}, one).gradients[0].double()
        norm = flat.square().sum()
        if norm == 0:
            raise GradientError("the gradient of all probed parameters is zero")
        return float(1 - (captured - flat).square().sum() / norm)

    @contextmanager
    def _attached(self, compiled: CompiledBlocks | None) -> Iterator[None]:
        """Attach leaves to layers and shared parameters for one pass."""
        self._leaves = self._zero_leaves()
        self._direct.clear()
        needed = [p for p in self._parameters if p.requires_grad]
        handles: list[Any] = []
        try:
            for parameter in needed:
                parameter.requires_grad_(False)
            for own, rule in self._layers:
                own.leaves = {
                    key: self._leaves[name]
                    for key, name in own.names.items()
                    if name in self._leaves
                }
                hook = partial(self._attach, own, rule)
                handles.append(own.layer.register_forward_hook(hook, with_kwargs=True))
            for module, names in self._shared:
                if compiled is not None and id(module) in compiled.inside:
                    self._replace(module, names)
                    continue
                before = partial(self._share, names)
                handles.append(module.register_forward_pre_hook(before))
            yield
        finally:
            for handle in handles:
                handle.remove()
            for module, names in self._shared:
                for key in names:
                    module.__dict__.pop(key, None)
            for parameter in needed:
                parameter.requires_grad_(True)
            for own, _ in self._layers:
                own.leaves = {}
            self._leaves = {}

    def _zero_leaves(self) -> dict[str, Tensor]:
        """Return a leaf for every parameter; they take no memory."""
        device = device_of(self._parameters)
        if self._reused[0] != (self._clips, device):
            zero = torch.zeros((), dtype=wide(self._dtype), device=device)
            leaves = {
                name: zero.expand(self._clips, size).requires_grad_()
                for name, size in self._sizes.items()
            }
            self._reused = (self._clips, device), leaves
        return dict(self._reused[1])

    def _attach(
        self,
        own: LayerLeaves,
        rule: Attach,
        layer: nn.Module,
        inputs: tuple[Any, ...],
        named: dict[str, Any],
        output: Tensor,
    ) -> Tensor:
        """Forward hook of a layer: attach its leaves to this call."""
        if not torch.is_grad_enabled():  # the first pass of a re-entrant checkpoint
            return output
        x = inputs[0] if inputs else next(iter(named.values()))
        if x.shape[0] % self._clips:
            raise GradientError(
                f"{next(iter(own.names.values()))}: sees {x.shape[0]} rows for"
                f" {self._clips} clips; expand what is shared over the batch, or leave"
                " the layer out with --params"
            )
        if not torch.compiler.is_compiling():
            for name in own.names.values():
                self._uses[name] = self._uses.get(name, 0) + 1
        found = rule(own, x, output, self._clips)
        copied = self._copies == "all" or (
            self._copies == "norms" and rule is attach_norm
        )
        return found.clone() if copied else found

    def _replace(self, module: nn.Module, names: dict[str, str]) -> None:
        """Put a row per clip in the place of shared parameters of a compiled module."""
        for key, name in names.items():
            value = module._parameters[key]
            assert value is not None
            rows = value.detach().expand(self._clips, *value.shape[1:]).clone()
            leaf = nn.Parameter(rows)
            module.__dict__[key] = self._leaves[name] = leaf
            self._direct.add(name)

    def _share(
        self, names: dict[str, str], module: nn.Module, inputs: tuple[Any, ...]
    ) -> None:
        """Forward pre-hook of a module with parameters of its own.

        What stands in `__dict__` is found before the registered parameter, which is
        left alone: sharding and offloading may move it while the module runs.
        """
        for key, name in names.items():
            module.__dict__.pop(key, None)
            if not torch.is_grad_enabled():
                continue
            value = module._parameters[key]
            assert value is not None
            device = next((x.device for x in inputs if isinstance(x, Tensor)), None)
            here = value.detach().to(device or value.device)  # it may be offloaded
            leaf, form = self._leaves[name], self._plans[name].form
            each = SpreadLeaf.attach(here, leaf, self._clips, form)
            shared = SharedParameter.wrap(here, each, (), name, self._broadcast)
            module.__dict__[key] = shared
