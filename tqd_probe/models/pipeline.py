"""What all families share: a pipeline directory, its encoders, network and files.

A family states its classes and conventions in a subclass (`ADDING_A_FAMILY.md`).
"""

from __future__ import annotations

import copy
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from transformers import AutoTokenizer, PreTrainedModel

from tqd_probe.clips.shape import ClipShape
from tqd_probe.errors import InputError
from tqd_probe.files import digest, file_digest
from tqd_probe.models import lora, save
from tqd_probe.models.base import Conditioned
from tqd_probe.models.groups import Grouping
from tqd_probe.models.native import native_shape
from tqd_probe.models.weights import fingerprint, load_component, read_config
from tqd_probe.noise import flow_corrupt, flow_target


@dataclass(frozen=True)
class Opening:
    """How a checkpoint is opened.

    Attributes:
        path: Pipeline directory.
        source: The checkpoint as it was given.
        index: Content of its `model_index.json`.
        device: Where the network runs.
        dtype: Type of the network; what the model keeps in float32 stays so.
        lora: Weights of a LoRA to load into the network.
        fuse_lora: Add the LoRA to the weights and keep none.
        expert: Which of several networks, where the family has them.
    """

    path: Path
    source: str
    index: dict[str, Any]
    device: torch.device
    dtype: torch.dtype
    lora: Path | None = None
    fuse_lora: bool = False
    expert: str | None = None


class PipelineModel:
    """Base of the adapters; implements `VideoModel` but for `predict`.

    Attributes:
        pipeline_class: The diffusers pipeline.
        network_class: Class of the denoising network.
        encoders: Classes of the components that encode, by name, the VAE first.
        tokenizers: Names of the tokenizers.
        default_shape: Native clips, where the checkpoint does not say.
        lora_targets: Linear layers a fresh LoRA goes to, as a regular expression.
        grouping: How the network's parameters are named.
    """

    family: str
    prediction: str = "flow_velocity"
    pipeline_class: ClassVar[Any]
    network_class: ClassVar[Any]
    encoders: ClassVar[dict[str, Any]]
    tokenizers: ClassVar[tuple[str, ...]] = ("tokenizer",)
    default_shape: ClassVar[ClipShape]
    lora_targets: str
    grouping: ClassVar[Grouping]

    def __init__(self, opening: Opening) -> None:
        """Check the checkpoint's files; loads no weights yet.

        Args:
            opening: What to open, and how.

        Raises:
            InputError: If a component is missing or damaged, or the checkpoint is of
                a variant that the adapter does not serve.
        """
        self.opening = opening
        self.path, self.index = opening.path, opening.index
        self.source, self.device = opening.source, opening.device
        self.dtype, self.expert = opening.dtype, opening.expert
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
        self.fingerprint = fingerprint(self.path / self.network_name)
        if opening.lora is not None:
            parts = [self.fingerprint, file_digest(opening.lora)]
            self.fingerprint = "sha256:" + digest(parts)
        weights = [fingerprint(self.path / name) for name in self.encoders]
        configs = [self.configs[name] for name in self.encoders]
        tokens = [token for name in self.tokenizers for token in self._files(name)]
        self.encoder_fingerprint = "sha256:" + digest([weights, configs, tokens])
        self.native = native_shape(self.path, self.default_shape)
        self._network: torch.nn.Module | None = None
        self._encoders: Any = None

    def _choose_network(self) -> str:
        """Name the network's component; families with experts override this."""
        if self.opening.expert is not None:
            raise InputError(
                f"--expert {self.opening.expert}: {self.source} has one network only;"
                " leave the option out"
            )
        return "transformer"

    def check_variant(self) -> None:
        """Raise `InputError` for checkpoints of the class that are not served."""

    def _files(self, name: str) -> list[list[str]]:
        """List names and hashes of the files of a component without weights."""
        files = [p for p in sorted((self.path / name).glob("*")) if p.is_file()]
        if not files:
            raise InputError(
                f"{self.path / name}: missing or empty; copy the whole checkpoint"
            )
        return [[file.name, file_digest(file)] for file in files]

    @property
    def network(self) -> torch.nn.Module:
        """The denoising network, in evaluation mode; loaded when first asked for."""
        if self._network is None:
            network = load_component(
                self.network_class,
                self.path / self.network_name,
                torch_dtype=self.dtype,
            )
            if self.opening.lora is not None:
                bare = self.bare_pipeline(transformer=network)
                lora.load_lora(bare, network, self.opening.lora, self.opening.fuse_lora)
            self._network = network.to(self.device)
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

    def bare_pipeline(self, **components: Any) -> Any:
        """Build the family's pipeline from some of its components.

        Args:
            **components: Components by name; the others are None.

        Returns:
            The pipeline; only what needs no other component works.
        """
        signature = inspect.signature(self.pipeline_class.__init__).parameters
        missing = {
            name: None
            for name, parameter in signature.items()
            if name != "self" and parameter.default is inspect.Parameter.empty
        }
        return self.pipeline_class(**{**missing, **components})

    def load_encoders(self) -> Any:
        """Load what encodes clips and captions, unless it is loaded.

        Returns:
            The family's pipeline without network and scheduler, on the device.

        Raises:
            InputError: If a component cannot be loaded.
        """
        if self._encoders is None:
            parts: dict[str, Any] = {}
            for name, cls in self.encoders.items():
                of_transformers = issubclass(cls, PreTrainedModel)
                dtype = self.dtype if of_transformers else torch.float32
                key = "dtype" if of_transformers else "torch_dtype"
                parts[name] = load_component(cls, self.path / name, **{key: dtype})
            for name in self.tokenizers:
                parts[name] = self._load_tokenizer(name)
            pipe = self.bare_pipeline(**parts)
            self._encoders = pipe.to(self.device)
        return self._encoders

    def _load_tokenizer(self, name: str) -> Any:
        try:
            return AutoTokenizer.from_pretrained(
                self.path / name, local_files_only=True
            )
        except Exception as error:  # libraries raise whatever they meet
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"{self.path / name}: cannot be loaded ({reason}); copy the component"
                " again"
            ) from error

    def release_encoders(self) -> None:
        """Drop the autoencoder and the text encoder from memory."""
        self._encoders = None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def units(self) -> tuple[int, int]:
        """Return frames per latent frame, and pixels per patch side.

        Returns:
            The temporal and the spatial unit that clips must fill.
        """
        vae, net = self.configs["vae"], self.configs[self.network_name]
        time = int(vae.get("scale_factor_temporal", 4))
        patch = int(net["patch_size"][1])
        return time, int(vae.get("scale_factor_spatial", 8)) * patch

    def check_shape(self, shape: ClipShape) -> None:
        """Check that clips of a shape fill whole latents and whole patches.

        Args:
            shape: The wanted clip shape.

        Raises:
            InputError: If frames are not a multiple of the temporal factor plus one,
                or height or width not a multiple of one patch in pixels.
        """
        time, unit = self.units()
        if shape.frames % time != 1 % time:
            raise InputError(
                f"--frames {shape.frames}: this model takes a multiple of {time} plus 1"
            )
        for name, size in (("height", shape.height), ("width", shape.width)):
            if size < unit or size % unit:
                raise InputError(
                    f"--{name} {size}: this model takes multiples of {unit} pixels"
                )

    def encode_pixels(self, video: np.ndarray) -> torch.Tensor:
        """Encode a clip: the posterior's mode, not normalised yet.

        Args:
            video: uint8 RGB ``[T, H, W, 3]``.

        Returns:
            Latents ``[1, C, F, h, w]`` on the device.
        """
        vae = self.load_encoders().vae
        pixels = torch.from_numpy(video).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
        return vae.encode(pixels.to(self.device)).latent_dist.mode()

    def encode_video(self, video: np.ndarray) -> torch.Tensor:
        """Encode a clip to normalised latents.

        Args:
            video: uint8 RGB ``[T, H, W, 3]``.

        Returns:
            float32 latents of one clip, on the CPU.

        Raises:
            NotImplementedError: If the family does not say how.
        """
        raise NotImplementedError

    def encode_caption(self, caption: str) -> dict[str, torch.Tensor]:
        """Encode a caption as the pipeline's own call does.

        Args:
            caption: The caption; may be empty.

        Returns:
            Conditioning of one clip, on the CPU.

        Raises:
            NotImplementedError: If the family does not say how.
        """
        raise NotImplementedError

    def encode_images(self, video: np.ndarray) -> dict[str, torch.Tensor]:
        """Encode what the network takes of the clip itself, such as its first frame.

        Args:
            video: uint8 RGB ``[T, H, W, 3]``.

        Returns:
            Conditioning of one clip, on the CPU; empty for text-to-video.
        """
        return {}

    def encode(self, video: np.ndarray, caption: str) -> Conditioned:
        """Encode a clip and its caption.

        Args:
            video: uint8 RGB ``[T, H, W, 3]``.
            caption: The caption.

        Returns:
            Latents and conditioning of one clip.
        """
        conditioning = {**self.encode_caption(caption), **self.encode_images(video)}
        return Conditioned(self.encode_video(video), conditioning)

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

    def add_lora(
        self, rank: int, alpha: float, targets: str | None = None, seed: int = 0
    ) -> list[str]:
        """Add a fresh LoRA to the network (`lora.add_lora`).

        Args:
            rank: Rank of the update.
            alpha: Its scale is ``alpha / rank``.
            targets: Regular expression of linear layers; the family's by default.
            seed: Run seed.

        Returns:
            Names of the LoRA's parameters.
        """
        return lora.add_lora(
            self.network, rank, alpha, targets or self.lora_targets, seed
        )

    def save_lora(self, folder: Path, metadata: dict[str, str] | None = None) -> Path:
        """Write the LoRA so that ``pipeline.load_lora_weights(folder)`` takes it.

        Args:
            folder: Where to write.
            metadata: Further strings for the file's header.

        Returns:
            The file.
        """
        return lora.save_lora(self.network, Path(folder), metadata)

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

    def generation(self, shape: ClipShape, guidance: float) -> dict[str, Any]:
        """Return what the pipeline's call takes beside prompts, steps and seed.

        Args:
            shape: Frames and pixels.
            guidance: Guidance scale.

        Returns:
            Keyword arguments.
        """
        return {
            "height": shape.height,
            "width": shape.width,
            "num_frames": shape.frames,
            "guidance_scale": guidance,
        }

    def sample(
        self,
        prompts: list[str],
        *,
        seed: int,
        steps: int,
        guidance: float,
        shape: ClipShape | None = None,
    ) -> np.ndarray:
        """Generate clips with the checkpoint's pipeline and its own scheduler.

        Args:
            prompts: One caption per clip.
            seed: Seed of the initial noise.
            steps: Scheduler steps.
            guidance: Guidance scale, as the family's pipeline means it.
            shape: Frames and pixels; the native shape by default.

        Returns:
            uint8 RGB ``[clips, T, H, W, 3]``.
        """
        pipe: Any = self.pipeline_class.from_pretrained(
            self.path,
            local_files_only=True,
            dtype={"default": self.dtype, "vae": torch.float32},
            **{self.network_name: self.network},
        )
        pipe.to(self.device)
        pipe.set_progress_bar_config(disable=True)
        frames = pipe(
            prompt=prompts,
            num_inference_steps=steps,
            generator=torch.Generator().manual_seed(seed),
            output_type="np",
            **self.generation(shape or self.native, guidance),
        ).frames
        return np.round(np.clip(frames, 0, 1) * 255).astype(np.uint8)


def network_dtype(network: Any, layer: str) -> torch.dtype:
    """Return the type in which a network takes its inputs.

    Args:
        network: The network; some of its parameters may be kept in float32.
        layer: Name of a linear or convolution layer that is not.

    Returns:
        The type of that layer's weight.
    """
    return network.get_submodule(layer).weight.dtype
