"""Network passes that run out of memory: smaller, then checkpointed, then refused."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from tqd_probe.core.errors import GradientError, InputError
from tqd_probe.core.memory import is_out_of_memory

T = TypeVar("T")
log = logging.getLogger("tqd_probe")


class MemoryGuard:
    """Runs passes of one network so that a lack of memory ends no run that can go on.

    A pass that does not fit is run again with half the clip versions, and at one
    version with gradient checkpointing; then the run is refused in one line.

    Attributes:
        checkpointing_added: Whether checkpointing was turned on here.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        device: str,
        dtype: str,
        checkpointing: str,
        in_step: bool = False,
    ) -> None:
        """Guard a network.

        Args:
            network: The network.
            device: The device asked for, for messages.
            dtype: Its number type, ``fp32`` or ``bf16``, for messages.
            checkpointing: ``auto``, ``on`` or ``off``: the last one is respected.
            in_step: Processes run every pass together: none can run one again.
        """
        self._network: Any = network
        self._device, self._dtype, self._asked = device, dtype, checkpointing
        self.checkpointing_added = False
        self._in_step = in_step

    def run(
        self,
        passes: Callable[[int], T],
        size: int,
        *,
        smaller: Callable[[int], object] = lambda size: None,
        cure: str = "",
    ) -> T:
        """Run passes, at a smaller size where memory is short.

        Args:
            passes: Runs them, with at most so many clip versions in each. It is called
                again from the start after a pass that did not fit.
            size: Versions to begin with.
            smaller: Called with every smaller size before it is tried.
            cure: What else the user can do, for the message.

        Returns:
            What `passes` returned.

        Raises:
            InputError: If one version does not fit, with checkpointing where the
                network can do it.
            GradientError: If a pass does not fit where processes run in step; any of
                them reports it.
        """
        while True:
            try:
                return passes(size)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            # Only here are the frames of the failed pass gone, and tensors with them.
            gc.collect()
            if torch.cuda.is_initialized():
                torch.cuda.empty_cache()
            if self._in_step:  # the others are in the pass, and wait for this process
                raise GradientError(
                    f"--shard: out of memory with {size} clip versions in a pass, which"
                    " all processes run together; use a smaller --batch-size,"
                    " --checkpointing on, --params, or smaller clips (--frames)"
                )
            if size > 1:
                size //= 2
                log.warning("out of memory: passes of %d clip versions now", size)
                smaller(size)
            elif not self.add_checkpointing():
                raise InputError(self._refusal(cure))

    def add_checkpointing(self) -> bool:
        """Turn gradient checkpointing on, unless it is on or must stay off.

        Returns:
            Whether it was turned on now.
        """
        if self._asked == "off" or not self._supported or self._on:
            return False
        self._network.enable_gradient_checkpointing()
        self.checkpointing_added = True
        log.warning("out of memory: gradient checkpointing on now")
        return True

    @property
    def _supported(self) -> bool:
        return bool(getattr(self._network, "_supports_gradient_checkpointing", False))

    @property
    def _on(self) -> bool:
        return bool(getattr(self._network, "is_gradient_checkpointing", False))

    def _refusal(self, cure: str) -> str:
        """Say that one clip does not fit, and what is left to do."""
        cures = [cure] if cure else []
        if self._supported and not self._on:
            cures.append("--checkpointing on")
        if self._dtype == "fp32":
            cures.append("--dtype bf16")
        cures += ["--params", "smaller clips (--frames)"]
        state = " and gradient checkpointing" if self._on else ""
        text = ", ".join(cures[:-1])
        return (
            f"--device {self._device}: out of memory with one clip{state}; use"
            f" {text}, or {cures[-1]}"
        )
