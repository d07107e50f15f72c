"""Seeds, and a random stream of its own for each purpose."""

import zlib

import numpy as np

from ms_coreset.errors import MsCoresetError


def check_seed(seed):
    """``seed`` as an int; raises ``MsCoresetError`` unless it is a whole number from 0 to 2**32 - 1."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise MsCoresetError(f"seed {seed}: must be a whole number from 0 to {2**32 - 1}")
    return int(seed)


def stream(seed, purpose, *numbers):
    """The ``RandomState`` that ``seed`` gives to a purpose, a short text, and whole numbers that tell its parts apart.

    Were two purposes to share ``RandomState(seed)``, they would draw the same samples: the random coreset of seed 0
    would hold just the labels that the noise of seed 0 flipped.
    """
    return np.random.RandomState([check_seed(seed), zlib.crc32(purpose.encode()), *numbers])
