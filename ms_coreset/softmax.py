"""Softmax and its logarithm in float64, finite for finite logits."""

from __future__ import annotations

import numpy as np

from ms_coreset.rows import row_blocks

LARGEST_GAP = 1e300  # between two logits of a sample


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Row-wise log p_c = z_c - log sum_j exp z_j, float64, finite for finite logits; see ``_below_largest``."""
    shifted = _below_largest(logits)
    for part in row_blocks(shifted):
        shifted[part] -= np.log(np.exp(shifted[part]).sum(axis=1, keepdims=True))
    return shifted


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """-log p_y of each row of logits (B, C), for labels (B,): (B,) float64."""
    return -log_softmax(logits)[np.arange(len(labels)), labels]


def softmax(logits: np.ndarray) -> np.ndarray:
    """p_c = exp z_c / sum_j exp z_j for each row, float64."""
    shares = _below_largest(logits)
    np.exp(shares, out=shares)
    shares /= shares.sum(axis=1, keepdims=True)
    return shares


def _below_largest(logits: np.ndarray) -> np.ndarray:
    """z_c - max_j z_j for each row, float64.

    Differences are limited to ``LARGEST_GAP``: the difference of two logits near 1e308 may overflow, and so may sums of
    differences.
    """
    below = np.array(logits, np.float64)
    with np.errstate(over="ignore"):
        below -= below.max(axis=1, keepdims=True)
    return np.maximum(below, -LARGEST_GAP, out=below)
