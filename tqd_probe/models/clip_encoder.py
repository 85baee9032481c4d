"""Encode clips to latents and text embeddings, through a cache on disk.

The cache is content-addressed: a file's name is a hash of the encoder weights, their
number type, the clip's pixels or caption, its shape and the degradation. Entries never
become stale.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from tqd_probe.clips.clip import Clip
from tqd_probe.clips.degradations import Degradation
from tqd_probe.clips.frames_ahead import FramesAhead, Version, read_version
from tqd_probe.clips.shape import ClipShape
from tqd_probe.core.clip_classes import GOLDEN
from tqd_probe.core.errors import BadClip, InputError
from tqd_probe.core.file_names import expand_home
from tqd_probe.core.files import digest
from tqd_probe.core.float32_precision import uses_tf32
from tqd_probe.core.tensor_files import read_tensors, write_tensors
from tqd_probe.models.base import Conditioned, VideoModel

VERSION = 1  # increase when encoding or a degradation changes its result


def default_cache() -> Path:
    """Return the cache folder: `TQD_PROBE_CACHE`, or one in the user's cache.

    Returns:
        The folder; it may not exist yet.

    Raises:
        InputError: If there is no home directory to put it in.
    """
    if given := os.environ.get("TQD_PROBE_CACHE"):
        return expand_home(Path(given))
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "tqd_probe"
    try:
        return Path.home() / ".cache" / "tqd_probe"
    except RuntimeError:
        raise InputError(
            "--cache: there is no home directory for the cache of encoded clips; give"
            " a folder, or set TQD_PROBE_CACHE"
        ) from None


def make_cache(given: Path | None) -> Path:
    """Return the cache folder, made where it is missing.

    Args:
        given: Folder that the user gave; None: the default one.

    Returns:
        The folder.

    Raises:
        InputError: If it cannot be made.
    """
    folder = given or default_cache()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: the cache of encoded clips cannot be made ({error.strerror});"
            " give another by --cache, or set TQD_PROBE_CACHE"
        ) from error
    return folder


@dataclass
class EncodedClips:
    """Encoded versions of the usable clips.

    Attributes:
        ids: Clip ids, in order.
        versions: ``golden`` and the degradations, such as ``blur:3``.
        latents: Latents by version, one tensor ``[clips, ...]`` each.
        conditioning: Text embeddings and masks, ``[clips, ...]`` by name.
        quarantine: Clips that could not be used: reason by clip id.
        images: First-frame conditioning (`VideoModel.encode_images`) by version and
            name, ``[clips, ...]``; empty for text-to-video.
    """

    ids: list[str]
    versions: list[str]
    latents: dict[str, torch.Tensor]
    conditioning: dict[str, torch.Tensor]
    quarantine: dict[str, str] = field(default_factory=dict)
    images: dict[str, dict[str, torch.Tensor]] = field(default_factory=dict)

    def batch(self, clip: int, versions: list[str]) -> Conditioned:
        """Return several versions of one clip as a batch.

        Args:
            clip: Index of the clip in `ids`.
            versions: The versions.

        Returns:
            A batch ``[len(versions), ...]`` with the caption repeated.
        """
        latents = torch.stack([self.latents[name][clip] for name in versions])
        count = len(versions)
        text = {
            name: value[clip].expand(count, *value[clip].shape).contiguous()
            for name, value in self.conditioning.items()
        }
        parts = [self.images.get(name, {}) for name in versions]
        own = {key: torch.stack([p[key][clip] for p in parts]) for key in parts[0]}
        return Conditioned(latents, {**text, **own})


class ClipEncoder:
    """Encodes clips with a model's encoders, through the cache."""

    def __init__(
        self,
        model: VideoModel,
        shape: ClipShape,
        seed: int,
        cache: Path,
        workers: int = 0,
    ) -> None:
        """Prepare to encode.

        Args:
            model: The model whose encoders are used.
            shape: Clip shape, already checked by `model.check_shape`.
            seed: Run seed, which decides random degradations.
            cache: Cache folder.
            workers: Threads that read frames ahead (`reading_ahead`).
        """
        self.model, self.shape, self.seed, self.cache = model, shape, seed, cache
        self.workers = workers
        self._ahead: FramesAhead | None = None

    @contextmanager
    def reading_ahead(self, versions: Sequence[Version]) -> Iterator[None]:
        """Decode, draw and degrade frames in threads while others are encoded.

        Args:
            versions: What will be encoded in the block, in order; cached ones are not
                read.

        Yields:
            Nothing.
        """
        with FramesAhead(
            versions, self.shape, self.seed, self.workers, self._is_wanted
        ) as self._ahead:
            try:
                yield
            finally:
                self._ahead = None

    def _is_wanted(self, clip: Clip, degradation: Degradation | None) -> bool:
        """Return whether something of a version is not in the cache yet."""
        kinds = ["latents", "images"] if self.model.takes_images else ["latents"]
        keys = [(kind, self._key(kind, clip, degradation)) for kind in kinds]
        return not all(self._path(*each).exists() for each in keys)

    def latents(self, clip: Clip, degradation: Degradation | None) -> torch.Tensor:
        """Encode one version of a clip.

        Args:
            clip: The clip.
            degradation: Degradation of its pixels; None for the golden clip.

        Returns:
            Latents of the clip, float32 on the CPU.

        Raises:
            BadClip: If the clip cannot be decoded or gives latents with NaN.
        """

        def make() -> dict[str, torch.Tensor]:
            video = self._video(clip, degradation)
            return {"latents": self.model.encode_video(video)}

        key = self._key("latents", clip, degradation)
        found = self._cached("latents", key, make)["latents"]
        if not bool(torch.isfinite(found).all()):
            raise BadClip(
                f"{clip.id}: its latents are not finite; leave the clip out, or check"
                " the checkpoint's vae if all clips fail"
            )
        return found

    def images(
        self, clip: Clip, degradation: Degradation | None
    ) -> dict[str, torch.Tensor]:
        """Encode the first frame of a version of a clip as conditioning.

        Args:
            clip: The clip.
            degradation: Degradation of its pixels; None for the golden clip.

        Returns:
            Conditioning of one clip, on the CPU; empty for text-to-video.
        """
        if not self.model.takes_images:
            return {}
        key = self._key("images", clip, degradation)
        return self._cached(
            "images",
            key,
            lambda: self.model.encode_images(self._video(clip, degradation)),
        )

    def conditioning(
        self, clip: Clip, degradation: Degradation | None
    ) -> dict[str, torch.Tensor]:
        """Encode all conditioning of a version of a clip.

        Args:
            clip: The clip.
            degradation: Degradation of its pixels; None for the golden clip.

        Returns:
            Caption and, for image-to-video, the first frame of this version.
        """
        return {**self.caption(clip), **self.images(clip, degradation)}

    def _key(self, kind: str, clip: Clip, degradation: Degradation | None) -> str:
        """Return the cache key of a version of a clip."""
        key: list[object] = [
            kind,
            VERSION,
            self.model.encoder_fingerprint,
            clip.identity(),
            str(self.shape),
            str(degradation or GOLDEN),
        ]
        # The random streams of degradations are keyed by seed and clip; a golden clip
        # is encoded once for all seeds.
        if degradation is not None:
            key += [self.seed, clip.id]
        key += _not_float32(vae=self.model.vae_dtype)
        if self.model.vae_dtype == torch.float32 and uses_tf32(self.model.device):
            key.append("vae tf32")
        if kind == "images":
            key += _not_float32(image_encoder=self.model.dtype)
        return digest(key)

    def caption(self, clip: Clip) -> dict[str, torch.Tensor]:
        """Encode the caption of a clip.

        Args:
            clip: The clip.

        Returns:
            Conditioning of one clip, on the CPU.

        Raises:
            InputError: If the embeddings are not finite.
        """
        known: list[object] = ["text", VERSION, self.model.encoder_fingerprint]
        known += [clip.caption, *_not_float32(text_encoder=self.model.dtype)]
        key = digest(known)
        found = self._cached(
            "text", key, lambda: self.model.encode_caption(clip.caption)
        )
        if not all(bool(torch.isfinite(value).all()) for value in found.values()):
            raise InputError(
                f"--ckpt {self.model.source}: text_encoder: gives embeddings that are"
                " not finite; replace the checkpoint"
            )
        return found

    def _video(self, clip: Clip, degradation: Degradation | None) -> np.ndarray:
        if self._ahead is not None:
            return self._ahead.take(clip, degradation)
        return read_version((clip, degradation), self.shape, self.seed)

    def _path(self, kind: str, key: str) -> Path:
        return self.cache / kind / key[:2] / f"{key}.safetensors"

    def _cached(
        self, kind: str, key: str, make: Callable[[], dict[str, torch.Tensor]]
    ) -> dict[str, torch.Tensor]:
        path = self._path(kind, key)
        if path.exists():
            known = read_tensors(path, f"{kind} {key}")
            if known is None:
                raise InputError(
                    f"{path}: damaged cache entry; delete it and start again"
                )
            return {name: torch.from_numpy(part) for name, part in known.items()}
        value = make()
        arrays = {name: part.numpy() for name, part in value.items()}
        write_tensors(path, arrays, f"{kind} {key}", sync=True)
        return value


def _not_float32(**types: torch.dtype) -> list[str]:
    """Name the components that do not compute in float32, with their types."""
    return [f"{k} {v}" for k, v in types.items() if v != torch.float32]


def encode_clips(
    encoder: ClipEncoder,
    clips: list[Clip],
    degradations: tuple[Degradation, ...],
    *,
    max_bad: int,
    progress: Callable[[int], None] = lambda _: None,
) -> EncodedClips:
    """Encode clips, golden and degraded, and their captions.

    Args:
        encoder: The encoder.
        clips: Golden clips.
        degradations: Degraded versions to make of each.
        max_bad: Clips that may fail; one more stops the run.
        progress: Called with the number of versions done.

    Returns:
        The encoded clips, with the reasons of those left out.

    Raises:
        BadClip: If more than `max_bad` clips cannot be used; names the last one.
    """
    versions = [GOLDEN, *(str(each) for each in degradations)]
    rows: list[dict[str, torch.Tensor]] = []
    texts: list[dict[str, torch.Tensor]] = []
    seen: list[dict[str, dict[str, torch.Tensor]]] = []
    ids: list[str] = []
    quarantine: dict[str, str] = {}
    copies = (None, *degradations)
    with encoder.reading_ahead([(clip, each) for clip in clips for each in copies]):
        for clip in clips:
            try:
                row, own = {}, {}
                for name, degradation in zip(versions, copies):
                    row[name] = encoder.latents(clip, degradation)
                    own[name] = encoder.images(clip, degradation)
                texts.append(encoder.caption(clip))
                rows.append(row)
                seen.append(own)
                ids.append(clip.id)
            except BadClip as error:
                quarantine[clip.id] = str(error)
                if len(quarantine) > max_bad:
                    more = f" ({len(quarantine)} bad clips, --max-bad {max_bad})"
                    raise BadClip(f"{error}{more if max_bad else ''}") from error
            progress(len(versions))
    if not rows:
        return EncodedClips([], versions, {}, {}, quarantine)
    latents = {name: torch.stack([row[name] for row in rows]) for name in versions}
    text = {name: torch.stack([t[name] for t in texts]) for name in texts[0]}
    images = {
        name: {key: torch.stack([own[name][key] for own in seen]) for key in parts}
        for name, parts in seen[0].items()
    }
    return EncodedClips(ids, versions, latents, text, quarantine, images)
