"""Set functions f(S) with their state for a growing S.

Each has ``len``, the size of the pool; ``gains(places)``, f(S + j) - f(S) for each j of ``places``; ``add(place)``,
which adds a place to S; and ``batch``, the number of gains that are best computed together, or None if all gains are
known at any time. ``greedy`` maximizes them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ms_coreset.selectors import row_blocks
from ms_coreset.selectors.norms import squared_norms
from ms_coreset.selectors.processors import side_by_side
from ms_coreset.selectors.smallest import smallest_places
from ms_coreset.selectors.submodular import live_pairs
from ms_coreset.selectors.submodular.live_pairs import LivePairs, Pairs, pairs_above
from ms_coreset.selectors.submodular.similarity import RowsAhead, blocks, each_row, matrix_of, of_upper_half

if TYPE_CHECKING:
    from ms_coreset.selectors.submodular.similarity import Between, Similarity, WholeSimilarity

SMALLEST_VARIANCE = 1e-12
_EQUAL_SIMILARITY = 1e-12
_FEW_LIVE = 0.02  # share of the pairs that still count from which their lists take less time than the rows
_AGE = 64  # picks since a log determinant's candidate was brought up to date after which all of them are
_TOGETHER = 1024  # candidates that are brought up to date in one product
_FIRST_LOOK, _SAMPLED = 4, 64  # picks before that share is first looked at; elements that it is estimated from


class SetFunction(Protocol):
    """What the maximizers require of a set function; see the module's docstring.

    One that is ``monotone`` (a class attribute, where it is True) has no gains below 0, so that a gain of 0 stays.
    """

    @property
    def batch(self) -> int | None:
        """Number of gains that are best computed together; None if all gains are known."""

    def __len__(self) -> int:
        """The size of the pool."""

    def gains(self, places: np.ndarray) -> np.ndarray:
        """f(S + j) - f(S) for each j of ``places``."""

    def add(self, place: int) -> None:
        """Add ``place`` to S."""


class FacilityLocation:
    """f(S) = sum_i max_{j in S} s_ij, 0 for the empty S; s symmetric and nowhere negative.

    gain_j = sum_i max(s_ij, m_i) - sum_i m_i with m_i = max_{j in S} s_ij: n operations for a candidate. After a few
    picks hardly any s_ij is above m_i. Then those that are, which alone can still count, are collected in one pass, and
    all gains are known from there on; see ``LivePairs``.

    Args:
        similarity: of the pool.
        memory: bytes that the collected pairs may take; until then they are not collected.
    """

    def __init__(self, similarity: Similarity, memory: float = math.inf) -> None:
        n = len(similarity)
        self._similarity = similarity
        self._covered, self._scratch = np.zeros(n), np.empty(n)
        self._value = 0.0
        self._picks, self._next_look = 0, _FIRST_LOOK
        self._few = min(_FEW_LIVE, memory / (live_pairs.BYTES * n**2))
        self._live: LivePairs | None = None

    def __len__(self) -> int:
        return len(self._covered)

    @property
    def batch(self) -> int | None:
        """How many gains are cheaper together; None once all are known."""
        if self._live is not None:
            return None
        return len(self) if self._computes_all else self._similarity.batch

    @property
    def _computes_all(self) -> bool:
        """Whether all gains are to be computed together: the first pick leaves no bound as it was."""
        return self._picks == 1 and matrix_of(self._similarity) is None

    def gains(self, places: np.ndarray) -> np.ndarray:
        if self._live is not None:
            return self._live.gains[places]
        if not self._picks and len(places) == len(self):
            return self._similarity.column_sums()[places]
        if self._computes_all and len(places) > len(self) // 2:
            return self._all_gains()[places]
        gains = np.empty(len(places))
        for i, row in enumerate(each_row(self._similarity, places)):  # row by row, nothing leaves the cache
            np.maximum(row, self._covered, out=self._scratch)
            gains[i] = np.add.reduce(self._scratch)
        return gains - self._value

    def _all_gains(self) -> np.ndarray:
        """(n,), from half of the similarities."""
        def sum_up(rows: slice, columns: slice, tile: np.ndarray) -> list[tuple[slice, np.ndarray]]:
            parts = [(columns, np.maximum(tile, self._covered[rows, None]).sum(axis=0))]
            return parts if rows == columns else [*parts, (rows, np.maximum(tile, self._covered[columns]).sum(axis=1))]

        sums = np.zeros(len(self))
        for part, values in chain.from_iterable(of_upper_half(self._similarity, sum_up)):
            sums[part] += values
        return sums - self._value

    def add(self, place: int) -> None:
        if self._live is not None:
            self._live.add(place)
            return
        np.maximum(self._covered, self._similarity.rows(np.array([place]))[0], out=self._covered)
        self._value = np.add.reduce(self._covered)
        self._picks += 1
        if self._picks == self._next_look:
            self._next_look += max(2, self._picks // 4)
            if self._live_share() < self._few:
                self._live = LivePairs(self._live_pairs(), self._covered)

    def _live_share(self) -> float:
        """The share of s_ij > m_i, estimated from some elements."""
        n = len(self)
        sample = np.arange(0, n, max(1, n // _SAMPLED))
        return float((self._similarity.rows(sample) > self._covered[sample, None]).mean())

    def _live_pairs(self) -> Iterator[Pairs]:
        return chain.from_iterable(of_upper_half(
            self._similarity, lambda rows, columns, tile: pairs_above(tile, self._covered, rows, columns)))


class NeighborFacilityLocation:
    """f(S) = sum_i max_{j in S and N_i} s_ij, with N_i the ``count`` elements most similar to i.

    The max is 0 where S has none of N_i. Of similarities equal to 12 places the lowest places are taken. n ``count`` of
    the n^2 similarities are kept: f is at most ``FacilityLocation``'s, and all gains are known at any time.

    Args:
        parts: the pairs of elements and those most similar to them.
        n: how many elements.
    """

    batch: int | None = None

    def __init__(self, parts: Iterable[Pairs], n: int) -> None:
        self._live = LivePairs(parts, np.zeros(n))

    @classmethod
    def of(cls, similarity: Similarity, count: int) -> NeighborFacilityLocation:
        """That of the ``count`` elements most similar to each, for which all similarities are computed once."""
        n = len(similarity)
        return cls((_nearest_pairs(similarity, block, count) for block in blocks(np.arange(n), 3 * n)), n)

    @classmethod
    def of_pairs(cls, nearest: np.ndarray, values: np.ndarray) -> NeighborFacilityLocation:
        """That of the elements ``nearest`` (n, count) to each and how similar they are (n, count)."""
        return cls([_pairs(np.arange(len(nearest)), nearest, values)], len(nearest))

    def __len__(self) -> int:
        return len(self._live.gains)

    def gains(self, places: np.ndarray) -> np.ndarray:
        return self._live.gains[places]

    def add(self, place: int) -> None:
        self._live.add(place)


def _nearest_pairs(similarity: Similarity, block: np.ndarray, count: int) -> Pairs:
    """The pairs of each element of a block and the ``count`` most similar to it."""
    rows = similarity.rows(block)
    nearest = smallest_places(-rows, count, _EQUAL_SIMILARITY)
    return _pairs(block, nearest, np.take_along_axis(rows, nearest, axis=1))


def _pairs(block: np.ndarray, nearest: np.ndarray, values: np.ndarray) -> Pairs:
    """The pairs of the elements ``block`` (b,) and ``nearest`` (b, count) to each."""
    elements = np.repeat(block, nearest.shape[1])
    return Pairs(elements.astype(np.int32), nearest.ravel().astype(np.int32), values.ravel())


class Separate:
    """The sum of set functions of parts of a pool: ``parts``, a pair (ascending places, function) for each."""

    def __init__(self, parts: Sequence[tuple[np.ndarray, FacilityLocation]]) -> None:
        self._functions = [function for _, function in parts]
        n = sum(len(places) for places, _ in parts)
        self._part, self._local = np.empty(n, int), np.empty(n, int)
        for part, (places, _) in enumerate(parts):
            self._part[places], self._local[places] = part, np.arange(len(places))

    def __len__(self) -> int:
        return len(self._part)

    @property
    def batch(self) -> int | None:
        """The largest of the functions'; None once all gains of all are known."""
        return max((function.batch for function in self._functions if function.batch is not None), default=None)

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

    gain_j = lam sum_{i in V} s_ij - 2 sum_{i in S} s_ij - s_jj. f is monotone for lam >= 2; below, gains become
    negative as S grows.
    """

    batch: int | None = 128

    def __init__(self, similarity: WholeSimilarity, lam: float = 1.0) -> None:
        self._similarity, self._own = similarity, similarity.diagonal()
        self._before = lam * similarity.column_sums() - self._own if lam else -self._own
        self._chosen = similarity.sum_of_rows()

    def __len__(self) -> int:
        return len(self._before)

    def gains(self, places: np.ndarray) -> np.ndarray:
        return self._before[places] - 2 * self._chosen.at(places)

    def add(self, place: int) -> None:
        self._chosen.add(place)

    def from_all(self) -> FromAll:
        """The same function, of an S that holds all elements and shrinks."""
        return FromAll(self._similarity, self._before, self._own)


class SumRedundancy(GraphCut):
    """``GraphCut`` with a lam of 0, of which every pick lowers all gains: they are kept, by a row a pick."""

    batch = None

    def __init__(self, similarity: WholeSimilarity) -> None:
        super().__init__(similarity, lam=0.0)
        self._gains, self._rows = self._before.copy(), RowsAhead(similarity)

    def gains(self, places: np.ndarray) -> np.ndarray:
        return self._gains[places]

    def add(self, place: int) -> None:
        self._gains -= 2 * self._rows.row(place, self._gains)


class FromAll:
    """What ``GraphCut`` loses by an element that leaves an S of all.

    Args:
        similarity: of the pool.
        before: (n,), the gains of the empty S.
        own: (n,), s_jj.
    """

    def __init__(self, similarity: WholeSimilarity, before: np.ndarray, own: np.ndarray) -> None:
        self._others, self._before = similarity.column_sums() - own, before
        self._gone = similarity.sum_of_rows()

    def gain_of_leaving(self, place: int) -> float:
        """f(S - j) - f(S)."""
        place_alone = np.array([place])
        others = self._others[place_alone] - self._gone.at(place_alone)
        return float((2 * others - self._before[place_alone])[0])

    def leave(self, place: int) -> None:
        """Take ``place`` out of S."""
        self._gone.add(place)


class LogDeterminant:
    """f(S) = log det(s_SS + jitter I), for at most k picks.

    gain_j = log v_j, v_j = s_jj + jitter - s_jS (s_SS + jitter I)^-1 s_Sj, what S leaves unexplained of j, at least
    1e-12. v_j = s_jj + jitter - ||c_j||^2 with c_j (|S|,) from the Cholesky factor C_S of s_SS + jitter I, C_S c_j =
    s_Sj, which grows by a number a pick. It is brought up to date where the gain is asked for, for all picks since:
    n k numbers in all, and at most n k (d + C + k) operations.
    Source: Chen, Zhang & Zhou, Fast Greedy MAP Inference for Determinantal Point Process, NeurIPS 2018, Algorithm 1,
    which brings all c_j up to date at every pick.
    """

    batch = 128

    def __init__(self, similarity: Between, k: int, jitter: float = 1e-6) -> None:
        n = len(similarity)
        self._similarity = similarity
        self._coefficients, self._known = np.empty((n, k)), np.zeros(n, int)  # the c_j, and how many picks they know of
        self._factor = np.zeros((k, k))  # C_S
        self._prior = similarity.diagonal() + jitter
        self._variance = self._prior.copy()
        self._picks: list[int] = []

    def __len__(self) -> int:
        return len(self._prior)

    def gains(self, places: np.ndarray) -> np.ndarray:
        ages = len(self._picks) - self._known[places]
        if ages.max(initial=0) >= _AGE:  # sooner or later nearly all are asked for: together they take less time
            side_by_side(self._bring_up_to_date, [(part,) for part in row_blocks.blocks(len(self), 1, _TOGETHER)])
        elif ages.any():
            self._bring_up_to_date(places[ages > 0])
        return self._gains_of(places)

    def _gains_of(self, places: np.ndarray) -> np.ndarray:
        return np.log(self._variance[places])

    def _bring_up_to_date(self, places: np.ndarray | slice) -> None:
        from scipy.linalg import solve_triangular  # scipy takes longer to load than --help may

        first, now = self._known[places].min(), len(self._picks)
        new = np.array(self._picks[first:], int)
        rest = self._similarity.between(places, new)
        rest -= self._coefficients[places, :first] @ self._factor[first:now, :first].T
        triangle = self._factor[first:now, first:now].copy()
        # Nothing is left of a pick that the others explain: dividing by it would blow rounding up.
        explained = np.diag(triangle) == 0
        rest[:, explained], triangle[explained] = 0, 0
        triangle[explained, explained] = 1
        rest = solve_triangular(triangle, rest.T, lower=True, overwrite_b=True, check_finite=False).T
        self._coefficients[places, first:now] = rest
        rest[np.arange(first, now) < self._known[places, None]] = 0  # which the variance has already
        self._variance[places] = np.maximum(self._variance[places] - squared_norms(rest), SMALLEST_VARIANCE)
        self._known[places] = now

    def add(self, place: int) -> None:
        self.gains(np.array([place]))
        size, variance = len(self._picks), self._variance[place]
        self._factor[size, :size] = self._coefficients[place, :size]
        self._factor[size, size] = 0 if variance <= SMALLEST_VARIANCE else variance**0.5
        self._picks.append(place)


class ExplainedVariance(LogDeterminant):
    """DeepCore's "log determinant": gain_j = s_jS pinv(s_SS) s_Sj, what S explains of j.

    The true gain is the log of what S does not explain. This one prefers redundancy, and its gains increase as S grows:
    maximized lazily, candidate by candidate, it picks places 0, 1, 2, ... as in DeepCore.
    """

    batch = 1

    def __init__(self, similarity: Between, k: int) -> None:
        super().__init__(similarity, k, jitter=0.0)

    def _gains_of(self, places: np.ndarray) -> np.ndarray:
        return self._prior[places] - self._variance[places]
