"""Counter-based random streams: the name of a draw decides its numbers.

Every random number in a run comes from a Philox generator (Salmon et al., 2011)
whose key is a hash of the run seed, a purpose and the global index of the sample.
No state is carried from one draw to the next, so a resumed run, another batch size or
another number of processes draws the same numbers.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence

if TYPE_CHECKING:
    import torch


class _Key(ISeedSequence):
    """The key of Philox. ``Philox(key=key)`` would first read system entropy: slow."""

    def __init__(self, key: np.ndarray) -> None:
        self.key = key

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> Any:
        return self.key


def stream(seed: int, purpose: str, *index: int | str) -> np.random.Generator:
    """Return the random generator of one named draw.

    Args:
        seed: The run seed.
        purpose: What the numbers are for, for example ``"noise"``.
        *index: What identifies the draw within its purpose (clip id, draw number).

    Returns:
        A numpy generator that yields the same numbers for the same name, always.
    """
    name = "\x1f".join([str(int(seed)), purpose, *(str(part) for part in index)])
    digest = hashlib.blake2b(name.encode(), digest_size=16).digest()
    key = np.frombuffer(digest, dtype="<u8").astype(np.uint64)
    source: Any = _Key(key)
    return np.random.Generator(np.random.Philox(source))


def normal(
    shape: tuple[int, ...], seed: int, purpose: str, *index: int | str
) -> torch.Tensor:
    """Draw a standard normal tensor from a named stream.

    Args:
        shape: Shape of the result.
        seed: The run seed.
        purpose: What the numbers are for.
        *index: What identifies the draw within its purpose.

    Returns:
        A float32 CPU tensor; the same on every device and in every process.
    """
    import torch  # takes seconds to load; command lines need numpy's streams alone

    values = stream(seed, purpose, *index).standard_normal(shape, dtype=np.float32)
    return torch.from_numpy(values)
