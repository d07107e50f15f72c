"""Distances between many points, which are computed exactly if rounding leaves a decision open."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from ms_coreset.selectors import row_blocks
from ms_coreset.selectors.centers import class_mean
from ms_coreset.selectors.norms import squared_norms
from ms_coreset.selectors.products import DeviceRows, HostRows, QuickProducts, multiply, resident_rows
from ms_coreset.selectors.row_blocks import blocks

SMALLEST_DISTANCE = 1e-6
_TIES = 1e-9  # more than ``rules.TIE``, of squared distances
EQUAL = 1e-13  # of two squared norms: the rounding error of the squared distance between equal rows is smaller
CANCELS = 1e-4  # of a squared norm: smaller squared distances come from differences, as products lose digits


class Points:
    """Rows (n, d), for Euclidean distances between them, which are 0 between equal rows.

    Rows are centered at their mean, so that a constant added to all of them changes no decision. Distances are computed
    from products; if these cancel, from float64 differences of the original rows, on the host.
    """

    def __init__(self, rows: np.ndarray) -> None:
        self._rows, self._center = rows, class_mean(rows)
        self._squares = squared_norms(rows, self._center)
        self._lengths = np.sqrt(self._squares)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def size(self) -> float:
        """Distance of the farthest row from the mean."""
        return self._lengths.max()

    @cached_property
    def _given_lengths(self) -> np.ndarray:
        return np.sqrt(squared_norms(self._rows))

    def offsets(self, places: np.ndarray | int | slice) -> np.ndarray:
        """The rows at some places minus the mean, float64."""
        return np.subtract(self._rows[places], self._center)

    def _all_offsets(self, places: np.ndarray) -> np.ndarray:
        """``offsets`` of many places, without a copy in the rows' own type."""
        rows = np.empty((len(places), self._rows.shape[1]))
        for part in blocks(len(rows), 8 * rows.shape[1], row_blocks.BLOCK_BYTES // 8):
            rows[part] = self.offsets(places[part])
        return rows

    def among(self, places: np.ndarray) -> _ListedPoints:
        """The points at some places, stored centered."""
        return _ListedPoints(self._all_offsets(places), self._squares[places],
                             lambda some, place: squared_distances(self._rows, places[some], places[place]))

    def to_nearest(self, centers: np.ndarray) -> np.ndarray:
        """(n,) float64 distances to the nearest of the points at ``centers``."""
        resident = resident_rows(self._all_offsets(centers))
        width = self._rows.shape[1] + 2 * len(centers)
        return np.sqrt(np.concatenate([self._nearest_in(part, centers, resident)
                                       for part in blocks(len(self), 8 * width)]))

    def _nearest_in(self, part: slice, centers: np.ndarray, resident: HostRows | DeviceRows) -> np.ndarray:
        squares = self._squares[part]
        squared = _squares_from_products(resident.products(self.offsets(part)), squares, self._squares[centers])
        nearest = squared.min(axis=1)
        close = np.flatnonzero(nearest <= CANCELS * squares)
        if len(close):
            # Of the centers that may be the nearest up to rounding, the one with the least difference is.
            doubt = 8 * (self._rows.shape[1] + 4) * np.finfo(np.float64).eps * squares[close]
            row, column = np.nonzero(squared[close] <= (nearest[close] + 2 * doubt)[:, None])
            exact = squared_distances(self._rows, part.start + close[row], centers[column])
            nearest[close] = np.minimum.reduceat(exact, np.searchsorted(row, np.arange(len(close))))
        return nearest

    def distances_from(self, target: np.ndarray, places: np.ndarray) -> np.ndarray:
        """(m,) float64 distances of the points at some places from a target (d,), relative to the mean."""
        return np.sqrt(np.concatenate([squared_norms(self.offsets(places[part]) - target)
                                       for part in blocks(len(places), 8 * len(target))]))

    def candidates(self, quick: QuickProducts, target: np.ndarray, sign: int, among: np.ndarray) -> np.ndarray:
        """Ascending places of all rows that may be the nearest to a target (sign -1), or the farthest (sign 1).

        These are all places of ``among`` that are within the error of ``quick`` of the best.

        Args:
            quick: a ``QuickProducts`` of the rows as given.
            target: (d,), relative to the mean.
            sign: -1 for the nearest, 1 for the farthest.
            among: (n,) bool, the places that may be given.

        Returns:
            (m,) places, ascending.
        """
        products, error = quick.of_vector(target)
        length, size = np.linalg.norm(target), self.size
        # Squared distances but for what all have in common, and what their ranks are uncertain by, ties included.
        values = sign * (self._squares - 2 * products)
        doubt = 2 * error * length * self._given_lengths
        doubt += _TIES * (length + self._lengths + _TIES * size) * (length + self._lengths + size)
        surest = np.where(among, values - doubt, -np.inf).max()
        # "Not greater", so that values that overflowed to NaN are candidates.
        return np.flatnonzero(among & ~(values + doubt < surest))


class _ListedPoints:
    """Some of ``Points``: centered rows (m, d) float64 on the host, their squared norms, and exact distances.

    ``between(places, place)`` computes exact squared distances.
    """

    def __init__(self, rows: np.ndarray, squares: np.ndarray, between: Callable[[np.ndarray, int], np.ndarray]) -> None:
        self._rows, self._squares, self._between = rows, squares, between

    def distances_to(self, place: int) -> np.ndarray:
        """(m,) float64 distances to the point at ``place``."""
        products = multiply(self._rows[[place]], self._rows.T)
        squared = _squares_from_products(products, self._squares[[place]], self._squares)[0]
        close = np.flatnonzero(squared <= CANCELS * self._squares)
        squared[close] = self._between(close, place)
        return np.sqrt(squared)


def squared_distances(rows: np.ndarray, left: np.ndarray, right: np.ndarray | int) -> np.ndarray:
    """Squared distances ||x_i - x_j||^2 between rows, from float64 differences.

    Args:
        rows: (n, d).
        left: (m,) places.
        right: (m,) places, or one.

    Returns:
        (m,) float64.
    """
    squares = np.empty(len(left))
    for part in blocks(len(left), 24 * rows.shape[1], row_blocks.BLOCK_BYTES // 8):
        others = right[part] if isinstance(right, np.ndarray) else right
        squares[part] = squared_norms(np.subtract(rows[left[part]], rows[others], dtype=np.float64))
    return squares


def _squares_from_products(products: np.ndarray, squares: np.ndarray, others: np.ndarray) -> np.ndarray:
    """||x||^2 + ||y||^2 - 2 <x, y>, (a, b), written over the products; squares (a,) and others (b,) are the norms'."""
    products *= -2
    products += squares[:, None]
    products += others
    return products


def distances_from_products(products: np.ndarray, squares: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Euclidean distances (a, b): the root of ``squares_from_products``, at least 1e-6, written over the products.

    Args:
        products: (a, b), the <x_i, y_j>.
        squares: (a,), the ||x_i||^2.
        others: (b,), the ||y_j||^2.

    Returns:
        (a, b), the array ``products``.
    """
    squared = squares_from_products(products, squares, others)
    np.maximum(squared, SMALLEST_DISTANCE**2, out=squared)
    return np.sqrt(squared, out=squared)


def squares_from_products(products: np.ndarray, squares: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances (a, b): max(||x||^2 + ||y||^2 - 2 <x, y>, 0), written over the products.

    If the squared distance is no larger than the rounding error for equal rows (``EQUAL``), the rows count as equal:
    whether duplicates tie must not depend on the order in which a device adds.

    Args:
        products: (a, b), the <x_i, y_j>.
        squares: (a,), the ||x_i||^2.
        others: (b,), the ||y_j||^2.

    Returns:
        (a, b), the array ``products``.
    """
    squared = _squares_from_products(products, squares, others)
    # Few entries are as small as rounding: only those are compared with their own scale.
    small = np.nonzero(squared <= EQUAL * (squares.max(initial=0) + others.max(initial=0)))
    squared[small] = np.where(squared[small] <= EQUAL * (squares[small[0]] + others[small[1]]), 0, squared[small])
    return squared
