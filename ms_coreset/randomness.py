"""Seeds, and a random stream of its own for each purpose."""

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
    """The ``RandomState`` that ``seed`` gives to a purpose, a short text, and whole numbers that tell its parts apart.

    Were two purposes to share ``RandomState(seed)``, they would draw the same samples: the random coreset of seed 0
    would hold just the labels that the noise of seed 0 flipped.
    """
    return np.random.RandomState([check_seed(seed), zlib.crc32(purpose.encode()), *numbers])


def hold_out(n: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(the rest, held out), ascending places among n samples: ``round(share * n)`` of them, drawn, are held out.

    Raises:
        MsCoresetError: when that leaves none, or no share from 0 to below 1 is asked for.
    """
    if isinstance(share, bool) or not isinstance(share, int | float | np.number) or not 0 <= share < 1:
        raise MsCoresetError(f"held-out share {share}: must be at least 0 and below 1")
    held_out = stream(seed, "validation").permutation(n)[:round(share * n)]
    if len(held_out) == n:
        raise MsCoresetError(f"a validation share of {share} leaves none of {n} samples")
    return np.setdiff1d(np.arange(n), held_out), np.sort(held_out)
