"""Divergences between discrete distributions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ms_coreset.selectors import row_blocks
from ms_coreset.selectors.processors import float_type, load_mindspore, on_host
from ms_coreset.selectors.row_blocks import blocks


class Distributions:
    """Discrete distributions (n, C), for the symmetric divergences between them.

    D(p, q) = 0.5 sum_c (p_c - q_c) (log p_c - log q_c), at least 0. It is computed in this form because the two halves
    of the sum, as products, cancel if p and q are alike.
    """

    def __init__(self, log_probabilities: np.ndarray, host: bool | None = None) -> None:
        arrays: Sequence[Any] = (np.ascontiguousarray(log_probabilities, np.float64), np.exp(log_probabilities))
        if not (on_host() if host is None else host):
            arrays = [load_mindspore().Tensor(array.astype(float_type())) for array in arrays]
        self._logs, self._probabilities = arrays

    def __len__(self) -> int:
        return len(self._logs)

    def among(self, places: np.ndarray) -> Distributions:
        """The distributions at some places, on the host."""
        logs = self._logs if isinstance(self._logs, np.ndarray) else self._logs.asnumpy()
        return Distributions(logs[places], host=True)

    def to_nearest(self, centers: np.ndarray) -> np.ndarray:
        """(n,) divergences to the nearest of the distributions at ``centers``."""
        nearest = np.full(len(self), np.inf)
        # On the host as many at a time as stay in the cache for all centres.
        host = isinstance(self._logs, np.ndarray)
        size = row_blocks.BLOCK_BYTES // 64
        parts = blocks(len(self), 8 * self._logs.shape[1], size) if host else [slice(0, len(self))]
        for part in parts:
            for center in map(int, centers):
                np.minimum(nearest[part], self._divergences(part, center), out=nearest[part])
        return nearest

    def distances_to(self, place: int) -> np.ndarray:
        """(n,) float64 divergences from the distribution at ``place``."""
        return self._divergences(slice(None), int(place))

    def _divergences(self, part: slice, place: int) -> np.ndarray:
        gaps = self._probabilities[part] - self._probabilities[place], self._logs[part] - self._logs[place]
        if isinstance(gaps[0], np.ndarray):
            return 0.5 * np.einsum("ic,ic->i", *gaps)
        return 0.5 * (gaps[0] * gaps[1]).sum(axis=1).asnumpy().astype(np.float64)
