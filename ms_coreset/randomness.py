"""Seeds, and an independent random stream for each purpose."""

import zlib
from typing import Any

import numpy as np

from ms_coreset.errors import MsCoresetError


def check_seed(seed: Any) -> int:
    """``seed`` as an int; raises ``MsCoresetError`` unless it is a whole number from 0 to 2**32 - 1."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise MsCoresetError(f"seed {seed}: must be a whole number from 0 to {2**32 - 1}")
    return int(seed)


def stream(seed: int, purpose: str, *numbers: int) -> np.random.RandomState:
    """The ``RandomState`` of ``seed`` for one purpose: a short text, and whole numbers that distinguish its parts.

    If two purposes shared ``RandomState(seed)``, they would draw the same samples: the random coreset of seed 0 would
    be exactly the samples whose labels the noise of seed 0 flipped.
    """
    return np.random.RandomState([check_seed(seed), zlib.crc32(purpose.encode()), *numbers])


def hold_out(n: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw ``round(share * n)`` of n samples to hold out.

    Returns:
        (rest, held out): ascending places of the samples that stay and of those that are held out.

    Raises:
        MsCoresetError: for a share outside [0, 1), and one that leaves no sample.
    """
    if isinstance(share, bool) or not isinstance(share, int | float | np.number) or not 0 <= share < 1:
        raise MsCoresetError(f"held-out share {share}: must be at least 0 and below 1")
    held_out = stream(seed, "validation").permutation(n)[:round(share * n)]
    if len(held_out) == n:
        raise MsCoresetError(f"a validation share of {share} leaves none of {n} samples")
    return np.setdiff1d(np.arange(n), held_out), np.sort(held_out)
