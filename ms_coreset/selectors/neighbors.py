"""The nearest neighbors of rows, the nearest of some samples to others, and the smallest values of each row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.rows import take
from ms_coreset.selectors.centers import class_mean
from ms_coreset.selectors.distances import squared_distances
from ms_coreset.selectors.norms import rows_in_metric, squared_norms
from ms_coreset.selectors.processors import one_blas_thread
from ms_coreset.selectors.products import QuickProducts, multiply
from ms_coreset.selectors.row_blocks import blocks

_SLACK = 1e-12  # error of a squared distance by products in float64, relative to the squared lengths


def neighbor_blocks(features: np.ndarray, k: int,
                    exclude_self: bool = True) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The k nearest rows to each row of features, by Euclidean distance, a block of rows at a time.

    So no n x n matrix arises. Candidates are found in float32; among all rows that its error leaves in question,
    float64 decides.

    Args:
        features: (n, d).
        k: at most n - 1.
        exclude_self: leave out the row itself; otherwise the first of the nearest, which may be a duplicate of it.

    Yields:
        (rows, (b, k) neighbors); the neighbors are in ascending order of place, and of equally near ones the lowest
        places are taken.
    """
    search = _NearRows(features)
    # The float32 distances of a block of rows, and a mask of them, are all that is large here.
    for part in blocks(len(features), 6 * len(features)):
        block = np.arange(part.start, part.stop)
        yield block, search.nearest(block, k, exclude_self)


def nearest_samples(features: np.ndarray, queries: np.ndarray, candidates: np.ndarray, k: int,
                    exclude_self: bool = False) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The k candidates nearest to each query by Euclidean distance, a block of queries at a time.

    Products in float64 find the samples that may be among them. Differences decide, by their first 12 digits; of
    equally near ones the lowest places come first.

    Args:
        features: (n, d).
        queries: (q,) ascending places.
        candidates: (m,) ascending places.
        k: at most m; at most m - 1 with ``exclude_self``.
        exclude_self: whether a query that is a candidate is left out of its own nearest ones.

    Yields:
        (b,) queries; (b, k) places of the nearest, the nearest first; (b, k) their distances, float64.
    """
    rows = np.asarray(take(features, candidates), np.float64)
    center = class_mean(rows)
    rows = rows - center
    squares = squared_norms(rows)
    for part in blocks(len(queries), 8 * (3 * len(candidates) + features.shape[1])):
        block = queries[part]
        asked = np.asarray(take(features, block), np.float64) - center
        lengths = squared_norms(asked)
        found = lengths[:, None] + squares - 2 * multiply(asked, rows.T)
        if exclude_self:
            found[block[:, None] == candidates] = np.inf
        error = 2 * _SLACK * (lengths + squares.max())
        near, place = np.nonzero(found <= (_bound_of_smallest(found, k) + error)[:, None])
        exact = squared_distances(features, block[near], candidates[place])
        first = first_of_each(len(block), k, near, place, first_digits(exact))
        yield block, candidates[place[first]], np.sqrt(exact[first])


class Neighbors(NamedTuple):
    """The nearest rows to each of n rows.

    Attributes:
        places: (n, k) int64, the nearest first; of equally near ones, by the first 12 digits of their squared
            distances, the lowest places. Of an approximate search, -1 where a row's cells hold fewer.
        distances: (n, k) float64, Euclidean, of rows at length 1 with "cosine": cos = 1 - distance^2 / 2 except to rows
            of zeros, which have no direction. Infinite where there is no place.
        recall: share of the k nearest that an approximate search finds, measured on a sample; 1 where it is exact.
    """

    places: np.ndarray
    distances: np.ndarray
    recall: float


@one_blas_thread
def nearest_neighbors(features: np.ndarray, k: int, *, metric: str = "euclidean", probes: int = 0,
                      seed: int = 0) -> Neighbors:
    """The k nearest rows to each row of features, itself left out by its place: a duplicate of it counts.

    Args:
        features: (n, d).
        k: at least 1, at most n - 1.
        metric: "euclidean", or "cosine".
        probes: 0: exact. Otherwise approximate: rows are sought in the row's cell and the nearest others, so many in
            all, of some sqrt(n) that k-means makes.
        seed: of the cells.

    Returns:
        ``Neighbors``.

    Raises:
        MsCoresetError: where there are no k others.
    """
    n = len(features)
    if not 1 <= k < n:
        raise MsCoresetError(f"{k} neighbors of each of {n:,} samples: there must be 1 to {n - 1:,}")
    rows = rows_in_metric(features, metric)
    places, distances = np.empty((n, k), np.int64), np.empty((n, k))
    search = _NearRows(rows)
    for part in blocks(n, 6 * n):
        block = np.arange(part.start, part.stop)
        places[part], distances[part] = search.ranked(block, k)
    return Neighbors(places, distances, 1.0)


class _NearRows:
    """Rows (n, d), for finding which of them are nearest to some of them.

    Sums in another order make equal distances differ by rounding, so squared ones are compared by their first 12
    digits. They are computed from differences: as products, those of near rows that lie far away would cancel.
    """

    def __init__(self, features: np.ndarray) -> None:
        self._given = features
        # Centred, a distance loses less to cancellation; scaled by a power of two, which is exact, squares stay within
        # float32's range.
        center = class_mean(features)
        farthest = max((features.max(axis=0) - center).max(), (center - features.min(axis=0)).max())
        scale = 2.0 ** -np.frexp(farthest)[1]
        rows, self._norms = np.empty(features.shape, np.float32), np.empty(len(features))
        for part in blocks(len(features), 8 * features.shape[1]):
            scaled = np.subtract(features[part], center)
            scaled *= scale
            rows[part], self._norms[part] = scaled, squared_norms(scaled)
        self._quick = QuickProducts(rows)

    def nearest(self, block: np.ndarray, k: int, exclude_self: bool) -> np.ndarray:
        """Places (b, k), ascending, of the k nearest rows to the rows of ``block``."""
        wanted = k if exclude_self else k + 1
        place, _ = self.ranked(block, wanted, exclude_self)
        return np.sort(place[:, wanted - k:], axis=1)

    def ranked(self, block: np.ndarray, k: int, exclude_self: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """Places (b, k), the nearest first, of the k nearest rows to the rows of ``block``, and their distances."""
        squares, error = self._quick_squares(block)
        if exclude_self:
            squares[np.arange(len(block)), block] = np.inf
        bound = _bound_of_smallest(squares, k)
        near, place = np.nonzero(squares <= (bound + error).astype(np.float32)[:, None])
        exact = squared_distances(self._given, block[near], place)
        first = first_of_each(len(block), k, near, place, first_digits(exact))
        return place[first], np.sqrt(exact[first])

    def _quick_squares(self, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Squared distances (b, n) in float32, and how far (b,) two of one row may be off together."""
        squares, error = self._quick.of_rows(block)
        norms = self._norms.astype(np.float32)
        squares *= -2
        squares += norms
        squares += norms[block, None]
        largest = np.sqrt(self._norms.max())
        lengths = np.sqrt(self._norms[block])
        return squares, 4 * error * lengths * largest + 2.0**-20 * (lengths + largest)**2


def first_digits(values: np.ndarray) -> np.ndarray:
    """Values, each rounded to 40 bits."""
    fractions, exponents = np.frexp(values)
    return np.ldexp(np.rint(fractions * 2.0**40), exponents - 40)


def smallest_places(values: np.ndarray, k: int, unit: float) -> np.ndarray:
    """Places (b, k), ascending, of the k smallest of each row of values; of equal ones the lowest places.

    Args:
        values: (b, n).
        k: at most n.
        unit: values are counted in units of this size, which rounding does not reach.

    Returns:
        (b, k) places.
    """
    bound = _bound_of_smallest(values, k)
    near, place = np.nonzero(values <= (bound + unit)[:, None])
    first = first_of_each(len(values), k, near, place, np.rint(values[near, place] / unit))
    return np.sort(place[first], axis=1)


def first_of_each(b: int, k: int, near: np.ndarray, place: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Which of the candidates (b, k) have the least values in each row, the least first; ``near`` gives their rows."""
    order = np.lexsort((place, value, near))
    first = np.searchsorted(near, np.arange(b))  # np.nonzero goes by rows, and so does the order
    return order[first[:, None] + np.arange(k)]


def _bound_of_smallest(values: np.ndarray, k: int) -> np.ndarray:
    """A bound (b,) that is at least the k-th smallest of each row of values (b, n), and near it.

    It is the k-th smallest of the minima of groups of columns: k columns at least are no larger, and few more.
    """
    groups = max(k, 8 * k)
    if values.shape[1] < 2 * groups:
        return np.partition(values, k - 1, axis=1)[:, k - 1]
    rest = values.shape[1] % groups
    minima = values[:, rest:].reshape(len(values), -1, groups).min(axis=1)
    return np.partition(minima, k - 1, axis=1)[:, k - 1]
