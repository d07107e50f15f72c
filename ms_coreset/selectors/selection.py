"""The result of a method, from which ``select`` makes a ``Coreset``."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class _Fields(NamedTuple):
    indices: np.ndarray
    weights: np.ndarray | None
    scores: np.ndarray | None
    gains: np.ndarray | None
    notes: dict[str, Any] | None


class Selection(_Fields):
    """What a method picks.

    Args:
        indices: (k,) places of the picks, in pick order.
        weights: (k,), of the picks in training, or None.
        scores: (n,) of all samples, high = keep, or None.
        gains: (k,), what each pick added to the value of a set function at its time, or None.
        notes: plain values for the coreset's manifest, by name, or None.
    """

    __slots__ = ()

    def __new__(cls, indices: np.ndarray, weights: np.ndarray | None = None, scores: np.ndarray | None = None,
                *, gains: np.ndarray | None = None, notes: dict[str, Any] | None = None) -> Selection:
        return super().__new__(cls, indices, weights, scores, gains, notes)
