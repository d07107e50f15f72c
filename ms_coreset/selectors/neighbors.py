"""The nearest neighbors of rows, the nearest of some samples to others, and the smallest values of each row."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ms_coreset.rows import take
from ms_coreset.selectors.centers import class_mean
from ms_coreset.selectors.distances import squared_distances
from ms_coreset.selectors.norms import squared_norms
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
        first = _first_of_each(len(block), k, near, place, _first_digits(exact))
        yield block, candidates[place[first]], np.sqrt(exact[first])


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
        squares, error = self._quick_squares(block)
        if exclude_self:
            squares[np.arange(len(block)), block] = np.inf
        wanted = k if exclude_self else k + 1
        bound = _bound_of_smallest(squares, wanted)
        near, place = np.nonzero(squares <= (bound + error).astype(np.float32)[:, None])
        exact = _first_digits(squared_distances(self._given, block[near], place))
        first = _first_of_each(len(block), wanted, near, place, exact)
        return np.sort(place[first[:, wanted - k:]], axis=1)

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


def _first_digits(values: np.ndarray) -> np.ndarray:
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
    first = _first_of_each(len(values), k, near, place, np.rint(values[near, place] / unit))
    return np.sort(place[first], axis=1)


def _first_of_each(b: int, k: int, near: np.ndarray, place: np.ndarray, value: np.ndarray) -> np.ndarray:
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
