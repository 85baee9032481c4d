"""The processes of a training: devices, precision, tracker (accelerate)."""

from __future__ import annotations

import os
from importlib.util import find_spec

import torch
from accelerate import Accelerator
from accelerate.utils import (
    DistributedType,
    InitProcessGroupKwargs,
    ProjectConfiguration,
)

from tqd_probe.core.devices import resolve_device
from tqd_probe.core.errors import InputError
from tqd_probe.core.files import digest
from tqd_probe.core.processes import TIMEOUT, launcher_shards
from tqd_probe.training.settings import TrainRunSettings


def make_accelerator(settings: TrainRunSettings) -> Accelerator:
    """Set up processes, device, precision and tracker.

    Args:
        settings: The run's settings.

    Returns:
        The accelerator.

    Raises:
        InputError: If the device is missing, or one GPU for several processes, the
            tracker is not installed, or the batch cannot be shared by the processes.
    """
    device = resolve_device(settings.device)
    tracker = None if settings.report_to == "none" else settings.report_to
    if tracker and find_spec(tracker) is None:  # accelerate would leave it out silently
        raise InputError(
            f"--report-to {tracker}: is not installed; pip install {tracker}, or use"
            " --report-to none"
        )
    if device.startswith("cuda:"):
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise InputError(
                f"--device {device}: several processes take a GPU each; use --device"
                " cuda"
            )
        torch.cuda.set_device(device)
    folder = settings.out
    accelerator = Accelerator(
        cpu=device == "cpu",
        mixed_precision="bf16" if settings.dtype == "bf16" else "no",
        log_with=tracker,
        project_config=ProjectConfiguration(str(folder), str(folder / "logs")),
        kwargs_handlers=[InitProcessGroupKwargs(timeout=TIMEOUT)],
    )
    if launcher_shards() and not is_sharded(accelerator):  # it would train with DDP
        raise InputError(
            "accelerate: FSDP shards networks over GPUs, and this run has no GPU or one"
            " process; give --device cuda and several processes, or use DDP"
        )
    if is_sharded(accelerator):
        if not accelerator.is_fsdp2:
            raise InputError("FSDP of version 1 is not supported; set fsdp_version: 2")
        for option in ("offload", "quantise"):
            if getattr(settings, option) not in (False, "none"):
                raise InputError(
                    f"--{option}: FSDP divides weights that are whole and on the GPU;"
                    " leave it out, or use DDP"
                )
        if settings.optimizer != "adamw":
            raise InputError(
                f"--optimizer {settings.optimizer}: its state cannot be divided by"
                " FSDP; use adamw, or DDP"
            )
        for option in ("sample_every", "agreement_every", "reprobe_every"):
            if getattr(settings, option):
                raise InputError(
                    f"--{option.replace('_', '-')}: needs the full network in one"
                    " process, which FSDP does not give; leave it out, or use DDP"
                )
    world = accelerator.num_processes
    if settings.batch_size % world:
        raise InputError(
            f"--batch-size {settings.batch_size}: not a multiple of the {world}"
            " processes; it counts clips per optimiser step over all of them"
        )
    return accelerator


def is_sharded(accelerator: Accelerator) -> bool:
    """Return whether parameters are spread over the processes (FSDP)."""
    return accelerator.distributed_type == DistributedType.FSDP


def start_trackers(accelerator: Accelerator, settings: TrainRunSettings) -> None:
    """Start the tracker; W&B keeps its files in the run directory.

    A resumed run continues the same W&B run.

    Args:
        accelerator: The processes and their tracker.
        settings: The run's settings, which become the run's hyperparameters.

    Raises:
        InputError: If the tracker cannot start.
    """
    config = {
        name: value if isinstance(value, (int, float, bool)) else str(value)
        for name, value in settings.model_dump(mode="json").items()
    }
    logs = settings.out / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    run_id = digest(str(settings.out.resolve()))[:16]
    wandb = {
        "dir": str(logs),
        "name": settings.out.name,
        "id": run_id,
        "resume": "allow",
    }
    try:
        accelerator.init_trackers("tqd_probe", config, {"wandb": wandb})
    except Exception as error:  # trackers raise whatever they meet
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"--report-to {settings.report_to}: cannot start ({reason}); fix that"
            " (W&B without a login: WANDB_MODE=offline), or use --report-to none"
        ) from error
