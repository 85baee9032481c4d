"""`PipelineModel`: base class of the adapters of diffusers pipelines.

A family sets its classes and conventions in a subclass (`docs/adding_a_family.md`).
"""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import numpy as np
import torch

from tqd_probe.clips.shape import ClipShape
from tqd_probe.core.errors import InputError
from tqd_probe.core.files import digest, file_digest
from tqd_probe.core.library_logging import silent_diffusers
from tqd_probe.core.noise import flow_corrupt, flow_target
from tqd_probe.models import lora
from tqd_probe.models.checkpoint_spec import CheckpointSpec
from tqd_probe.models.generation import Generation
from tqd_probe.models.lora_file import fingerprint_with_lora
from tqd_probe.models.module_groups import Grouping
from tqd_probe.models.native_clip import native_shape
from tqd_probe.models.pipeline_encoders import Encoders
from tqd_probe.models.pipeline_weights import PipelineWeights
from tqd_probe.models.placement import place_network
from tqd_probe.models.quantisation import computing_type, loading_options
from tqd_probe.models.single_file import load_network
from tqd_probe.models.weights import (
    fingerprint,
    fingerprint_of_files,
    load_component,
    read_config,
)


class PipelineModel(Encoders, Generation, PipelineWeights):
    """Base class of the adapters; implements `VideoModel` except `predict`.

    Attributes:
        network_class: Class of the denoising network.
        default_shape: Native clip shape of checkpoints without ``native_clip.json``.
        grouping: How the network's parameters are named.
    """

    family: str
    prediction: str = "flow_velocity"
    network_class: ClassVar[Any]
    default_shape: ClassVar[ClipShape]
    grouping: ClassVar[Grouping]

    def __init__(self, spec: CheckpointSpec) -> None:
        """Check the checkpoint's files; weights are not loaded yet.

        Args:
            spec: The checkpoint.

        Raises:
            InputError: If a component is missing or damaged, or the adapter does not
                support this variant.
        """
        self.spec = spec
        self.path, self.index = spec.path, spec.index
        self.source, self.device = spec.source, spec.device
        self.dtype, self.vae_dtype = spec.dtype, spec.vae_dtype
        self.expert = spec.expert
        self.network_name = self._choose_network()
        classes = {self.network_name: self.network_class, **self.encoders}
        for name in (*classes, *self.tokenizers):
            entry = self.index.get(name)
            if not (isinstance(entry, list) and len(entry) == 2):
                raise InputError(
                    f"{self.path / 'model_index.json'}: {name}: missing or not"
                    " [library, class]; copy the whole checkpoint"
                )
        self.configs = {
            name: read_config(self.path / name, cls.__name__)
            for name, cls in classes.items()
        }
        self.check_variant()
        if spec.weights:
            self.fingerprint = fingerprint_of_files(spec.weights)
        else:
            self.fingerprint = fingerprint(self.path / self.network_name)
        if spec.lora is not None:
            self.fingerprint = fingerprint_with_lora(
                self.fingerprint, spec.lora, spec.lora_alpha
            )
        weights = [fingerprint(self.path / name) for name in self.encoders]
        configs = [self.configs[name] for name in self.encoders]
        tokens = [token for name in self.tokenizers for token in self._files(name)]
        how = [self.family, self.patch()]  # the adapter's own conventions
        self.encoder_fingerprint = "sha256:" + digest([weights, configs, tokens, how])
        self.native = native_shape(self.path, self.native_default())
        self.clip_shape = self.native
        self._network: torch.nn.Module | None = None
        self._encoders = None

    def _choose_network(self) -> str:
        """Name the network's component; families with experts override this."""
        if self.spec.expert is not None:
            raise InputError(
                f"--expert {self.spec.expert}: {self.source} has one network only;"
                " leave the option out"
            )
        return "transformer"

    def check_variant(self) -> None:
        """Raise `InputError` for variants that the adapter does not support."""

    def native_default(self) -> ClipShape:
        """Return the native clip shape of a checkpoint without ``native_clip.json``.

        Returns:
            The family's shape; some families read it from the configuration.
        """
        return self.default_shape

    @property
    def sigma_range(self) -> tuple[float, float]:
        """Lowest and highest noise level at which the network is used."""
        return 0.0, 1.0

    @property
    def timestep_levels(self) -> np.ndarray | None:
        """Levels of discrete timesteps; None, as flow matching has all levels."""
        return None

    def nearest_levels(self, sigma: np.ndarray) -> np.ndarray:
        """Return the model's noise levels nearest to the given ones.

        Args:
            sigma: Wanted levels.

        Returns:
            The same levels for flow matching; the nearest timestep's otherwise.
        """
        return np.asarray(sigma, dtype=np.float64)

    def _files(self, name: str) -> list[list[str]]:
        """List names and SHA-256 of the files of a component without weights."""
        files = [p for p in sorted((self.path / name).glob("*")) if p.is_file()]
        if not files:
            raise InputError(
                f"{self.path / name}: missing or empty; copy the whole checkpoint"
            )
        return [[file.name, file_digest(file)] for file in files]

    @property
    def network(self) -> torch.nn.Module:
        """The denoising network, in evaluation mode; loaded at first use."""
        if self._network is None:
            how = loading_options(self.spec.quantise, self.dtype, self.device)
            place = self.path / self.network_name
            with silent_diffusers():  # it warns of float32, which works
                network = (
                    load_network(
                        self.network_class,
                        self.spec.weights,
                        place,
                        self.original_names,
                        self.dtype,
                        how,
                    )
                    if self.spec.weights
                    else load_component(
                        self.network_class, place, torch_dtype=self.dtype, **how
                    )
                )
            if self.spec.lora is not None:
                weights = self.read_lora(self.spec.lora, self.spec.lora_alpha)
                lora.load_lora(network, weights, self.spec.fuse_lora)
            self._network = place_network(network, self.device, self.spec.placement)
        return self._network

    def bound_to(self, network: torch.nn.Module) -> Any:
        """Return this model with another network.

        Args:
            network: A network of the same architecture.

        Returns:
            A shallow copy that runs the given network.
        """
        other = copy.copy(self)
        other._network = network
        return other

    def compression(self) -> tuple[int, int]:
        """Return frames per latent frame and pixels per side of a latent pixel.

        Returns:
            The temporal and the spatial factor of the autoencoder.
        """
        with torch.device("meta"):  # only the architecture, no weights
            vae = self.encoders["vae"].from_config(self.configs["vae"])
        return int(vae.temporal_compression_ratio), int(vae.spatial_compression_ratio)

    def patch(self) -> tuple[int, int]:
        """Return latent frames and latent pixels per side of a token.

        Returns:
            The temporal and the spatial patch size.
        """
        net = self.configs[self.network_name]
        return int(net.get("patch_size_t") or 1), int(net.get("patch_size") or 1)

    def frame_step(self) -> int:
        """Return the step in which the number of frames grows, from 1.

        Returns:
            Frames per latent frame; more where the family needs it.
        """
        return self.compression()[0]

    def check_shape(self, shape: ClipShape) -> None:
        """Check that a clip shape fills whole latents and patches, and use it.

        Args:
            shape: The clip shape from now on.

        Raises:
            InputError: If frames, height or width do not.
        """
        step = self.frame_step()
        if (shape.frames - 1) % step:
            raise InputError(
                f"--frames {shape.frames}: this model takes a multiple of {step} plus 1"
            )
        unit = self.compression()[1] * self.patch()[1]
        for name, size in (("height", shape.height), ("width", shape.width)):
            if size < unit or size % unit:
                raise InputError(
                    f"--{name} {size}: this model takes multiples of {unit} pixels"
                )
        self.clip_shape = shape

    def corrupt(
        self, x0: torch.Tensor, eps: torch.Tensor, sigma: torch.Tensor
    ) -> torch.Tensor:
        """Return ``(1 - sigma) x0 + sigma eps`` (flow matching).

        Args:
            x0: Clean latents ``[B, ...]``.
            eps: Standard normal noise, same shape.
            sigma: Levels ``[B]``.

        Returns:
            Noisy latents, same shape.
        """
        return flow_corrupt(x0, eps, sigma)

    def target(
        self, x0: torch.Tensor, eps: torch.Tensor, sigma: torch.Tensor
    ) -> torch.Tensor:
        """Return the velocity ``eps - x0`` (flow matching).

        Args:
            x0: Clean latents ``[B, ...]``.
            eps: Standard normal noise, same shape.
            sigma: Levels ``[B]``; the velocity does not depend on them.

        Returns:
            The training target, same shape.
        """
        return flow_target(x0, eps)

    def modules(self) -> dict[str, list[str]]:
        """Return the network's parameter names by module group.

        Returns:
            Groups ``embedding``, ``blockNN.PART`` and ``head`` in network order; of a
            LoRA's parameters alone where the network carries one.
        """
        return self.grouping.groups(n for n, _ in self.network.named_parameters())


def network_dtype(network: Any, layer: str) -> torch.dtype:
    """Return the dtype of a network's inputs.

    Args:
        network: The network; some of its parameters may be kept in float32.
        layer: Name of a linear or convolution layer that is not among them.

    Returns:
        The dtype in which that layer computes.
    """
    return computing_type(network.get_submodule(layer))
