"""Softmax and its logarithm in float64, finite for finite logits."""

from __future__ import annotations

import numpy as np

from ms_coreset.rows import row_blocks

LARGEST_GAP = 1e300  # between logits of a sample


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Row-wise log softmax in float64, finite for finite logits; see ``_below_largest``."""
    shifted = _below_largest(logits)
    for part in row_blocks(shifted):
        shifted[part] -= np.log(np.exp(shifted[part]).sum(axis=1, keepdims=True))
    return shifted


def softmax(logits: np.ndarray) -> np.ndarray:
    """Row-wise softmax in float64."""
    shares = _below_largest(logits)
    np.exp(shares, out=shares)
    shares /= shares.sum(axis=1, keepdims=True)
    return shares


def _below_largest(logits: np.ndarray) -> np.ndarray:
    """z_c - max_j z_j of rows, float64.

    More than ``LARGEST_GAP`` below counts as so much, since not all differences of logits near 1e308 are numbers, nor
    are sums of them.
    """
    below = np.array(logits, np.float64)
    with np.errstate(over="ignore"):
        below -= below.max(axis=1, keepdims=True)
    return np.maximum(below, -LARGEST_GAP, out=below)
