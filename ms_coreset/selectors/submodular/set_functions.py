"""Set functions f(S) with their state for a growing S.

Each has ``len``, the size of the pool; ``gains(places)``, f(S + j) - f(S) for each j of ``places``, and ``add(place)``,
which makes S one larger; and ``batch``, how many gains are cheaper together than one by one, None where all are known
at any time. ``greedy`` maximizes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ms_coreset.selectors import neighbors, products
from ms_coreset.selectors.submodular.similarity import Dense, blocks

if TYPE_CHECKING:
    from ms_coreset.selectors.submodular.similarity import Cosine, Similarity

SMALLEST_VARIANCE = 1e-12
_EQUAL_SIMILARITY = 1e-12


class SetFunction(Protocol):
    """What the maximizers ask of a set function; see above."""

    @property
    def batch(self) -> int | None:
        """How many gains are cheaper together, or None."""

    def __len__(self) -> int:
        """The size of the pool."""

    def gains(self, places: np.ndarray) -> np.ndarray:
        """f(S + j) - f(S) for each j of ``places``."""

    def add(self, place: int) -> None:
        """Make S one larger."""


class FacilityLocation:
    """f(S) = sum_i max_{j in S} s_ij, n ``least`` for the empty S; s nowhere below ``least``.

    gain_j = sum_i max(s_ij, m_i) - sum_i m_i with m_i = max_{j in S} s_ij, ``least`` at first: n operations for a
    candidate, whose row of the similarities holds the s_ij of all i.
    """

    def __init__(self, similarity: Similarity, least: float = 0.0) -> None:
        self._similarity = similarity
        self._covered, self._scratch = np.full(len(similarity), least), np.empty(len(similarity))
        self._value = self._value_of_none = least * len(similarity)
        self.batch = similarity.batch

    def __len__(self) -> int:
        return len(self._covered)

    def gains(self, places: np.ndarray) -> np.ndarray:
        if self._value == self._value_of_none and len(places) == len(self):
            return self._similarity.column_sums()[places] - self._value
        if isinstance(self._similarity, Dense):
            return self._gains_in_turn(map(self._similarity.row, places), len(places))
        return np.concatenate([self._gains_in_turn(self._similarity.rows(block), len(block))
                               for block in blocks(places, len(self))])

    def _gains_in_turn(self, rows: Iterable[np.ndarray], count: int) -> np.ndarray:
        # Row by row, nothing leaves the cache.
        gains = np.empty(count)
        for i, row in enumerate(rows):
            np.maximum(row, self._covered, out=self._scratch)
            gains[i] = np.add.reduce(self._scratch)
        return gains - self._value

    def add(self, place: int) -> None:
        np.maximum(self._covered, self._similarity.rows(np.array([place]))[0], out=self._covered)
        self._value = np.add.reduce(self._covered)


class NeighborFacilityLocation:
    """f(S) = sum_i max_{j in S and N_i} s_ij, with N_i the ``count`` elements most similar to i.

    The max is 0 where S has none of N_i. Of similarities equal to 12 places the lowest places are taken. n ``count`` of
    the n^2 similarities are kept: f is at most ``FacilityLocation``'s. gain_j = sum_{i: j in N_i} max(s_ij - m_i, 0),
    on average ``count`` operations.
    """

    batch = 16

    def __init__(self, similarity: Similarity, count: int) -> None:
        n = len(similarity)
        self._covered = np.zeros(n)
        nearest, values = np.empty((n, count), np.int32), np.empty((n, count))
        for block in blocks(np.arange(n), 3 * n):
            rows = similarity.rows(block)
            nearest[block] = neighbors.smallest_places(-rows, count, _EQUAL_SIMILARITY)
            values[block] = np.take_along_axis(rows, nearest[block], axis=1)
        # By candidate: whose neighbour it is, ascending, and how similar they are.
        by_candidate = np.argsort(nearest, axis=None, kind="stable")
        self._starts = np.concatenate([[0], np.cumsum(np.bincount(nearest.ravel(), minlength=n))])
        self._values = values.ravel()[by_candidate]
        self._elements = np.floor_divide(by_candidate, count, out=by_candidate).astype(np.int32)

    def __len__(self) -> int:
        return len(self._covered)

    def gains(self, places: np.ndarray) -> np.ndarray:
        return np.array([self._gain(*self._of(place)) for place in places])

    def _of(self, place: int) -> tuple[np.ndarray, np.ndarray]:
        part = slice(self._starts[place], self._starts[place + 1])
        return self._elements[part], self._values[part]

    def _gain(self, elements: np.ndarray, values: np.ndarray) -> float:
        return np.maximum(values - self._covered[elements], 0).sum()

    def add(self, place: int) -> None:
        elements, values = self._of(place)
        self._covered[elements] = np.maximum(self._covered[elements], values)


class Separate:
    """The sum of functions of parts of a pool: ``parts``, one (ascending places, function) for each."""

    def __init__(self, parts: Sequence[tuple[np.ndarray, FacilityLocation]]) -> None:
        self._functions = [function for _, function in parts]
        self.batch = max(function.batch for function in self._functions)
        n = sum(len(places) for places, _ in parts)
        self._part, self._local = np.empty(n, int), np.empty(n, int)
        for part, (places, _) in enumerate(parts):
            self._part[places], self._local[places] = part, np.arange(len(places))

    def __len__(self) -> int:
        return len(self._part)

    def gains(self, places: np.ndarray) -> np.ndarray:
        if len(places) == 1:
            return self._functions[self._part[places[0]]].gains(self._local[places])
        gains = np.empty(len(places))
        for part in np.unique(self._part[places]):
            here = self._part[places] == part
            gains[here] = self._functions[part].gains(self._local[places][here])
        return gains

    def add(self, place: int) -> None:
        self._functions[self._part[place]].add(self._local[place])


class GraphCut:
    """f(S) = lam sum_{i in V, j in S} s_ij - sum_{i, j in S} s_ij.

    gain_j = lam sum_{i in V} s_ij - 2 sum_{i in S} s_ij. The exact one has a further - s_jj; it is left out, as in
    DeepCore, and makes no difference where all s_jj are equal, as they are but for zero vectors. Monotone for
    lam >= 2; with less, gains turn negative as S grows.
    """

    batch = 128

    def __init__(self, similarity: Cosine | Dense, lam: float = 1.0) -> None:
        self._before = lam * similarity.column_sums()
        self._chosen = similarity.sum_of_rows()

    def __len__(self) -> int:
        return len(self._before)

    def gains(self, places: np.ndarray) -> np.ndarray:
        return self._before[places] - 2 * self._chosen.at(places)

    def add(self, place: int) -> None:
        self._chosen.add(place)


class LogDeterminant:
    """f(S) = log det(s_SS + jitter I), for at most k picks.

    gain_j = log v_j, v_j = s_jj + jitter - s_jS (s_SS + jitter I)^-1 s_Sj, what S leaves unexplained of j, at least
    1e-12. The Cholesky factor grows by one row (n,) a pick: n k^2 operations and n k numbers in all.
    Source: Chen, Zhang & Zhou, Fast Greedy MAP Inference for Determinantal Point Process, NeurIPS 2018, Algorithm 1.
    """

    batch: int | None = None  # all gains are known at any time

    def __init__(self, similarity: Cosine | Dense, k: int, jitter: float = 1e-6) -> None:
        self._similarity = similarity
        self._jitter = jitter
        self._factor = np.empty((k, len(similarity)))
        self._size = 0
        self._prior = similarity.diagonal() + jitter
        self._variance = self._prior.copy()
        self._gains = self._gains_now()

    def __len__(self) -> int:
        return len(self._prior)

    def gains(self, places: np.ndarray) -> np.ndarray:
        return self._gains[places]

    def _gains_now(self) -> np.ndarray:
        return np.log(self._variance)

    def add(self, place: int) -> None:
        row = self._similarity.rows(np.array([place]))[0]
        row[place] += self._jitter
        factor = self._factor[:self._size]
        residual = row - products.multiply(factor[:, place][None], factor)[0]
        # Nothing is left of an element that S explains: dividing by it would blow rounding up.
        residual *= 0 if self._variance[place] <= SMALLEST_VARIANCE else self._variance[place] ** -0.5
        self._factor[self._size] = residual
        self._size += 1
        self._variance = np.maximum(self._variance - residual**2, SMALLEST_VARIANCE)
        self._gains = self._gains_now()


class ExplainedVariance(LogDeterminant):
    """DeepCore's "log determinant": gain_j = s_jS pinv(s_SS) s_Sj, what S explains of j.

    The true one takes the log of what S does not explain. This seeks redundancy, and its gains rise as S grows:
    maximized lazily, candidates one by one, it gives places 0, 1, 2, ... as in DeepCore.
    """

    batch = 1

    def __init__(self, similarity: Cosine | Dense, k: int) -> None:
        super().__init__(similarity, k, jitter=0.0)

    def _gains_now(self) -> np.ndarray:
        return self._prior - self._variance
