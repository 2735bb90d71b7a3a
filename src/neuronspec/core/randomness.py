"""Random numbers as pure functions of what they are for, so that nothing has to be replayed or stored."""

from __future__ import annotations

import zlib

import numpy as np


def generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """A generator that depends on `seed` and `purpose` alone: `generator(1, "plan", "en-de", epoch)`.

    Purposes that differ give streams that are independent of each other (numpy's `SeedSequence` over Philox).
    """
    words = [zlib.crc32(word.encode()) if isinstance(word, str) else word for word in purpose]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, *words])))


def torch_seed(seed: int, *purpose: str | int) -> int:
    """A seed for `torch.manual_seed` that depends on `seed` and `purpose` alone."""
    return int(generator(seed, *purpose).integers(0, 2**63))
