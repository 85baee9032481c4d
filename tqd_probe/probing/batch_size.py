"""How many clip versions share a pass, decided by work and memory of a trial pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from tqd_probe.core.memory import PeakMemory
from tqd_probe.gradients.plain_gradients import plain_gradients
from tqd_probe.models.clip_encoder import GOLDEN
from tqd_probe.probing.losses import batch_losses
from tqd_probe.probing.micro_batches import Draw
from tqd_probe.probing.workspace import Workspace

USABLE_SHARE = 0.8  # of the free memory may be planned for
MOST_DRAWS = 8  # draws of a pass
FULL_CPU = 15 * 10**9  # operations of a pass above which a longer one gains nothing
FULL_GPU = 2 * 10**12  # a guess: some milliseconds of work, to hide kernel launches
WORK = ("batch_size", "flops_per_clip_gradient")


def choose_batch_size(workspace: Workspace) -> dict[str, int]:
    """Decide how many clip versions share a pass, and count the work of one.

    Unless the user decides, all versions of a clip share one pass; where a trial pass
    of one version shows that they do not fit into the free memory, as many as do. Where
    that is little work for the device, several draws share a pass (`micro_batches`).

    Args:
        workspace: The probe.

    Returns:
        ``batch_size`` and ``flops_per_clip_gradient`` (of a plain forward and
        backward; matrix products, convolutions and attention).

    Raises:
        InputError: If not even one version fits.
    """
    return workspace.guard.run(lambda _: _trial(workspace), 1)


def _trial(workspace: Workspace) -> dict[str, int]:
    """Count and measure a pass of one clip version."""
    versions = len(workspace.encoded.versions)
    asked = workspace.settings.batch_size
    sigma = float(workspace.sigmas[0])
    losses = batch_losses(workspace, [(Draw(0, 0), [GOLDEN])], sigma)
    with PlainOperations(display=False) as counter:
        plain_pass(workspace.model.network, losses, keep=False)
    size = asked or versions
    if asked is None:
        each = versions * max(1, int(counter.get_total_flops()))
        size = versions * min(max(1, _full_pass(workspace) // each), MOST_DRAWS)
        trial = PeakMemory(workspace.device)
        with trial:
            workspace.engine().per_clip(losses, 1)
        if trial.used > trial.free > 0:
            raise torch.OutOfMemoryError
        fitting = int(USABLE_SHARE * trial.free / trial.used) if trial.used else size
        if fitting < size:
            all_versions = fitting // versions * versions
            size = max(1, all_versions or fitting)
    return {
        "batch_size": size,
        "flops_per_clip_gradient": int(counter.get_total_flops()),
    }


class PlainOperations(FlopCounterMode):
    """Counts operations without those that gradient checkpointing does again."""

    def _count_flops(self, func_packet: Any, out: Any, args: Any, kwargs: Any) -> Any:
        """Count an operation; in a backward pass only what is done anew has a graph."""
        if torch._C._current_graph_task_id() >= 0 and torch.is_grad_enabled():
            return out
        return super()._count_flops(func_packet, out, args, kwargs)


def _full_pass(workspace: Workspace) -> int:
    """Return the operations of a plain pass that keep the device busy."""
    kind = torch.device(workspace.settings.device).type
    return FULL_CPU if kind == "cpu" else FULL_GPU


def plain_pass(
    network: torch.nn.Module, losses: Callable[[], torch.Tensor], keep: bool = True
) -> None:
    """Run an ordinary batched forward and backward pass, as training does.

    Args:
        network: The network.
        losses: Runs the network and returns the clips' losses.
        keep: Keep the gradients of all weights until the end, as training does; else
            each is dropped as soon as it is there.
    """
    kept: dict[str, torch.Tensor] = {}
    names = {name for name, _ in network.named_parameters()}
    take = kept.__setitem__ if keep else lambda name, gradient: None
    plain_gradients(network, names, losses, take)
