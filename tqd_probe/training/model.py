"""The model to train: loaded, made trainable, and wrapped as one loss module.

A model wrapped for several processes keeps its own network underneath. The loss is
computed inside one module, so that the wrapper sees one forward pass and the trainer
need not know the arguments of a family's network.
"""

from __future__ import annotations

import torch
from accelerate import Accelerator

from tqd_probe.core.errors import InputError
from tqd_probe.models.base import VideoModel, per_clip_loss
from tqd_probe.models.load import load_model
from tqd_probe.models.lora_file import LoraWeights, find_lora_file
from tqd_probe.training.batches import Batch
from tqd_probe.training.settings import TrainRunSettings


def load_model_to_train(
    settings: TrainRunSettings, accelerator: Accelerator
) -> VideoModel:
    """Load the checkpoint; a LoRA's base may be bf16, trained weights are float32.

    Args:
        settings: The run's settings.
        accelerator: The processes.

    Returns:
        The model.
    """
    bf16 = settings.dtype == "bf16" and not settings.full
    return load_model(
        settings.ckpt,
        str(accelerator.device),
        "bf16" if bf16 else "fp32",
        expert=settings.expert,
        pipeline=settings.pipeline,
        vae_dtype=settings.vae_dtype,
        quantise=settings.quantise,
        placement="offloaded" if settings.offload else "whole",
    )


class LossModule(torch.nn.Module):
    """Runs the network on a batch and returns the loss of every clip."""

    def __init__(self, model: VideoModel) -> None:
        """Hold the model's network as a part.

        Args:
            model: The model; its network is shared, not copied.
        """
        super().__init__()
        self.model = model
        self.network = model.network
        # DDP would send frozen weights from rank 0, which it cannot where they are
        # quantised or on the host; all processes have loaded the same.
        self._ddp_params_and_buffers_to_ignore = [
            name for name, p in self.named_parameters() if not p.requires_grad
        ]

    def forward(self, batch: Batch) -> torch.Tensor:
        """Return losses ``[B]``, float32.

        Args:
            batch: Samples on the network's device.

        Returns:
            Mean squared error over the elements of each clip's target.
        """
        return per_clip_loss(self.model, batch.encoded, batch.eps, batch.sigma)


def make_trainable(model: VideoModel, settings: TrainRunSettings) -> None:
    """Choose what is trained: a new LoRA, that of ``--init-lora``, or all weights.

    Trained weights are float32; with bf16 only the computation is of that type.

    Args:
        model: The model; its network is changed in place.
        settings: Full or LoRA, rank, alpha, targets.
    """
    weights = read_init_lora(model, settings)
    if settings.full:
        model.network.requires_grad_(True)
    elif weights is not None:
        model.load_lora(weights)
    else:
        assert settings.lora_rank is not None  # by the settings' own check
        alpha = settings.lora_alpha or float(settings.lora_rank)
        model.add_lora(settings.lora_rank, alpha, settings.lora_targets, settings.seed)
    model.network.train()


def read_init_lora(model: VideoModel, settings: TrainRunSettings) -> LoraWeights | None:
    """Read the LoRA that a training starts from; the network need not be loaded.

    Args:
        model: The model.
        settings: Its file, and the rank and alpha that are asked for.

    Returns:
        The LoRA; None where a new one, or the network, is trained.

    Raises:
        InputError: If the file is no LoRA of this network, or of another rank or
            alpha.
    """
    if settings.init_lora is None:
        return None
    path = find_lora_file(settings.init_lora, "--init-lora")
    weights = model.read_lora(path, settings.lora_alpha, "--init-lora")
    ranks = sorted({len(layer.a) for layer in weights.layers.values()})
    if settings.lora_rank is not None and ranks != [settings.lora_rank]:
        raise InputError(
            f"--lora-rank {settings.lora_rank}: {settings.init_lora} has rank"
            f" {', '.join(map(str, ranks))}; leave the option out"
        )
    return weights
