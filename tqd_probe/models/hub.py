"""Download a diffusers pipeline from the Hugging Face hub, into its cache."""

from __future__ import annotations

import re
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from tqd_probe.core.errors import InputError
from tqd_probe.core.files import read_json

ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
CONFIGS = ("*.json", "*.txt", "*.model", "*.jinja")  # configurations and tokenizers
INDEX = "model_index.json"


def is_hub_id(ckpt: str) -> bool:
    """Return whether a checkpoint's name is a hub id.

    Args:
        ckpt: The name, such as ``Wan-AI/Wan2.1-T2V-1.3B-Diffusers``.

    Returns:
        True for ``owner/name`` where there is no such path on this machine.
    """
    return ID.fullmatch(ckpt) is not None and not Path(ckpt).exists()


def download(ckpt: str, option: str = "--ckpt") -> Path:
    """Download a pipeline of the hub into the cache, unless it is there.

    Only safetensors, configurations and tokenizers of the components in its index are
    downloaded: no pickles, no code, no fp16 variants, no single-file copies. Offline
    (``HF_HUB_OFFLINE=1``) only the cache is used.

    Args:
        ckpt: ``owner/name``.
        option: The option that names it, for messages.

    Returns:
        The pipeline directory inside the hub's cache.

    Raises:
        InputError: If the repository does not exist, needs a login, is not in the
            cache while offline, or is no diffusers pipeline.
    """
    try:
        first = Path(snapshot_download(ckpt, allow_patterns=[INDEX]))
        if not (first / INDEX).is_file():
            raise InputError(
                f"{option} {ckpt}: no {INDEX} in the repository, so it is no diffusers"
                " pipeline; look for a repository whose name ends in -Diffusers"
            )
        index = read_json(first / INDEX, "a diffusers pipeline index")
        parts = [n for n, v in index.items() if isinstance(v, list) and v[0]]
        wanted = [f"{n}/{pattern}" for n in parts for pattern in CONFIGS]
        wanted += [f"{n}/*.safetensors" for n in parts]
        return Path(
            snapshot_download(
                ckpt,
                allow_patterns=[INDEX, "native_clip.json", *wanted],
                ignore_patterns=["*.fp16*", "*.bf16*", "*.non_ema*"],
            )
        )
    except GatedRepoError as error:
        raise InputError(
            f"{option} {ckpt}: accept its conditions on huggingface.co and run"
            " 'hf auth login'"
        ) from error
    except RepositoryNotFoundError as error:
        raise InputError(
            f"{option} {ckpt}: no such directory, and no such repository on the hub (or"
            " a private one: run 'hf auth login')"
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise InputError(
            f"{option} {ckpt}: no such directory, not in the hub's cache, and the hub"
            " cannot be reached; check the name, go online, or give a directory"
        ) from error
