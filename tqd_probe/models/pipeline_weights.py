"""LoRAs and weights of a pipeline's network: added, read, saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch

from tqd_probe.core.errors import InputError
from tqd_probe.models import lora, save
from tqd_probe.models.lora_file import LoraWeights, read_lora
from tqd_probe.models.original_names import OriginalNames
from tqd_probe.models.single_file import WEIGHTS, save_network


class PipelineWeights:
    """The part of an adapter that adds LoRAs and saves weights.

    Attributes:
        lora_targets: Linear layers that a new LoRA adapts, as a regular expression.
        original_names: How the family's original code names its weights; None: files
            with diffusers' names alone are read.
    """

    family: str
    path: Path
    device: torch.device
    configs: dict[str, Any]
    network_class: ClassVar[Any]
    network_name: str
    network: Any
    lora_targets: str
    original_names: ClassVar[OriginalNames | None] = None

    def add_lora(
        self, rank: int, alpha: float, targets: str | None = None, seed: int = 0
    ) -> list[str]:
        """Add a new LoRA to the network (`lora.add_lora`).

        Args:
            rank: Rank of the update.
            alpha: Its scale is ``alpha / rank``.
            targets: Regular expression of linear layers; the family's by default.
            seed: Run seed.

        Returns:
            Names of the LoRA's parameters.
        """
        names = lora.add_lora(
            self.network, rank, alpha, targets or self.lora_targets, seed
        )
        return self._placed(names)

    def read_lora(
        self, path: Path, alpha: float | None = None, option: str = "--lora"
    ) -> LoraWeights:
        """Read a LoRA of any trainer for this network, which need not be loaded.

        Args:
            path: The file (`find_lora_file`).
            alpha: Alpha of a file that states none.
            option: The option that names the file, for messages.

        Returns:
            The LoRA.

        Raises:
            InputError: If the file is no LoRA of this network.
        """
        with torch.device("meta"):  # only the architecture, no weights
            network = self.network_class.from_config(self.configs[self.network_name])
        names, component = self.original_names, self.network_name
        return read_lora(path, network, names, component, alpha, option)

    def load_lora(self, weights: LoraWeights) -> list[str]:
        """Add a LoRA that was read to the network, to be trained on.

        Args:
            weights: The LoRA.

        Returns:
            Names of the LoRA's parameters.
        """
        return self._placed(lora.load_lora(self.network, weights))

    def _placed(self, names: list[str]) -> list[str]:
        """Put parameters on the device, not where weights are that are offloaded."""
        for name in names:
            parameter = self.network.get_parameter(name)
            parameter.data = parameter.data.to(self.device)
        return names

    def names_to_save(self, keys: str) -> OriginalNames | None:
        """Return the names of a format to save in.

        Args:
            keys: ``diffusers``, or ``comfyui``.

        Returns:
            The original names for ComfyUI; None for diffusers.

        Raises:
            InputError: If the family's original names are not known.
        """
        if keys != "diffusers" and self.original_names is None:
            raise InputError(
                f"--save-keys {keys}: the original names of {self.family} are not"
                " known; leave it out"
            )
        return self.original_names if keys == "comfyui" else None

    def save_lora(
        self,
        folder: Path,
        metadata: dict[str, str] | None = None,
        keys: str = "diffusers",
    ) -> Path:
        """Write the LoRA in the format of ``pipeline.load_lora_weights(folder)``.

        Args:
            folder: Where to write.
            metadata: Further strings for the file's header.
            keys: ``diffusers``, or ``comfyui``.

        Returns:
            The file.

        Raises:
            InputError: If the network has no LoRA, or the keys are not known.
        """
        comfyui = self.names_to_save(keys)
        return lora.save_lora(self.network, Path(folder), metadata, comfyui)

    def save_network(self, folder: Path, metadata: dict[str, str]) -> Path:
        """Write the network alone into one file with ComfyUI's names.

        Args:
            folder: Where to write.
            metadata: Strings for the file's header.

        Returns:
            The file.

        Raises:
            InputError: If the original names are not known.
        """
        names = self.names_to_save("comfyui")
        assert names is not None
        return save_network(Path(folder) / WEIGHTS, self.network, names, metadata)

    def save_full(self, folder: Path, metadata: dict[str, str] | None = None) -> Path:
        """Write a complete pipeline directory with the network as it is now.

        Args:
            folder: Where to write; absent or empty.
            metadata: Where the weights come from.

        Returns:
            The folder.
        """
        networks = {self.network_name: self.network}
        return save.save_full(self.path, networks, Path(folder), metadata)
