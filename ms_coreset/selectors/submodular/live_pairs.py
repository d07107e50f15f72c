"""Pairs of similar elements that can still count in facility location, with all gains kept up to date."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csc_array, csr_array

BYTES = 48  # of memory that a pair takes while the lists are made; half of it afterwards


class Pairs(NamedTuple):
    """Pairs (i, j) with their similarities s_ij: of each element i the candidates j."""

    elements: np.ndarray  # (p,) int32
    candidates: np.ndarray  # (p,) int32
    values: np.ndarray  # (p,) float64


def pairs_above(tile: np.ndarray, covered: np.ndarray, rows: slice, columns: slice) -> list[Pairs]:
    """The pairs of a tile of a symmetric matrix that are more similar than what covers the element.

    Args:
        tile: (a, b), s_ij.
        covered: (n,), m_i of all elements.
        rows: the tile's.
        columns: the tile's.

    Returns:
        The pairs with s_ij > m_i of the rows as elements, and, beside the diagonal, of the columns.
    """
    row, column = np.nonzero(tile > covered[rows, None])
    found = [Pairs(_numbers(row, rows), _numbers(column, columns), tile[row, column])]
    if rows != columns:
        row, column = np.nonzero(tile > covered[columns])
        found.append(Pairs(_numbers(column, columns), _numbers(row, rows), tile[row, column]))
    return found


def _numbers(places: np.ndarray, part: slice) -> np.ndarray:
    return (places + part.start).astype(np.int32)


class LivePairs:
    """gain_j = sum_i max(s_ij - m_i, 0) of all j at once, from the pairs (i, j) with s_ij > m_i alone.

    m_i = max_{j in S} s_ij only rises as S grows, so that a pair that does not count now never will. A pick changes the
    gains of those candidates alone that share an element with it whose m_i it raises.

    Args:
        parts: the pairs, in parts.
        covered: (n,) float64, m_i, raised in place.
    """

    def __init__(self, parts: Iterable[Pairs], covered: np.ndarray) -> None:
        from scipy.sparse import coo_array  # scipy takes longer to load than --help may

        n = len(covered)
        elements, candidates, values = map(np.concatenate, zip(*parts, strict=True))
        self._covered = covered
        self.gains = np.bincount(candidates, values - covered[elements], minlength=n)
        pairs = coo_array((values, (elements, candidates)), shape=(n, n))
        pairs.has_canonical_format = True  # no pair comes twice, so that none need be sorted
        by_element = pairs.tocsr()
        self._of_element, self._of_candidate = _Lists(by_element), _Lists(by_element.tocsc())

    def add(self, place: int) -> None:
        """Let ``place`` cover what is more similar to it than to the picks so far."""
        elements, values = self._of_candidate.at(place)
        raised = values > self._covered[elements]
        elements, values = elements[raised], values[raised]
        pairs, counts = self._of_element.places(elements)
        former = np.repeat(self._covered[elements], counts)
        loss = np.minimum(self._of_element.values[pairs], np.repeat(values, counts)) - former
        alive = loss > 0
        np.subtract.at(self.gains, self._of_element.members[pairs[alive]], loss[alive])
        self._covered[elements] = values


class _Lists:
    """Lists of (member, value), one for each of n owners, end to end: a compressed sparse matrix's rows or columns."""

    def __init__(self, compressed: csr_array | csc_array) -> None:
        self.members, self.values, self._starts = compressed.indices, compressed.data, compressed.indptr

    def at(self, owner: int) -> tuple[np.ndarray, np.ndarray]:
        """(members, values) of one owner."""
        part = slice(self._starts[owner], self._starts[owner + 1])
        return self.members[part], self.values[part]

    def places(self, owners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(places in ``members`` and ``values`` of several owners' lists, end to end; (len(owners),) their lengths)."""
        starts, counts = self._starts[owners], self._starts[owners + 1] - self._starts[owners]
        ends = np.cumsum(counts)
        return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - counts), counts), counts
