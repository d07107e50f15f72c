"""The nearest neighbors of rows, and the nearest of some samples to others: exact, or approximate by cells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.randomness import stream
from ms_coreset.rows import take
from ms_coreset.selectors import searches
from ms_coreset.selectors.centers import class_mean
from ms_coreset.selectors.distances import squared_distances
from ms_coreset.selectors.k_means import BATCH, k_means
from ms_coreset.selectors.norms import rows_read_in_metric, squared_norms
from ms_coreset.selectors.processors import one_blas_thread
from ms_coreset.selectors.products import QuickProducts, multiply
from ms_coreset.selectors.quota import classes
from ms_coreset.selectors.row_blocks import blocks
from ms_coreset.selectors.searches import Neighbors
from ms_coreset.selectors.smallest import bound_of_smallest, first_digits, first_of_each, smallest_places

_ASKED = 200  # queries, at most, by which the recall is told
_UNIT = 1e-9  # of squared distances: what cells that are asked are told apart by
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
        near, place = np.nonzero(found <= (bound_of_smallest(found, k) + error)[:, None])
        exact = squared_distances(features, block[near], candidates[place])
        first = first_of_each(len(block), k, near, place, first_digits(exact))
        yield block, candidates[place[first]], np.sqrt(exact[first])


def nearest_neighbors(features: np.ndarray, k: int, *, metric: str = "euclidean", probes: int = 0,
                      seed: int = 0) -> Neighbors:
    """The k nearest rows to each row of features, itself left out by its place: a duplicate of it counts.

    Args:
        features: (n, d).
        k: at least 1, at most n - 1.
        metric: "euclidean", or "cosine".
        probes: 0: exact; otherwise see ``nearest_among``.
        seed: of the cells.

    Returns:
        ``Neighbors`` of n rows.

    Raises:
        MsCoresetError: where there are no k others.
    """
    everyone = np.arange(len(features))
    return nearest_among(features, everyone, everyone, k=k, metric=metric, probes=probes, seed=seed)


@one_blas_thread
def nearest_among(features: np.ndarray, queries: np.ndarray, candidates: np.ndarray, *, k: int,
                  metric: str = "euclidean", probes: int = 0, seed: int = 0) -> Neighbors:
    """The k candidates nearest to each query, which is never its own.

    Exact, or by cells: k-means makes sqrt(m) cells of m candidates, and a query's nearest are sought in the cells of
    the ``probes`` nearest centers; where these hold fewer than k, among all. The share that is found so, the recall, is
    measured on 200 queries and noted (``searches.collect_notes``). A search that takes long is kept on disk where
    ``searches.kept_in`` says, and taken from there when it is asked for again.

    Args:
        features: (n, d).
        queries: (q,) ascending places.
        candidates: (m,) ascending places.
        k: at least 1; there must be so many candidates that are not the query.
        metric: "euclidean", or "cosine".
        probes: 0: exact; as many as there are cells, or more: exact, too.
        seed: of the cells.

    Returns:
        ``Neighbors`` of the queries.

    Raises:
        MsCoresetError: where there are no k others.
    """
    others = len(candidates) - bool(np.isin(queries, candidates).any())
    if not 1 <= k <= others:
        raise MsCoresetError(f"{k} neighbors of each sample: there must be 1 to {others:,}, the others that there are")
    probes = probes if probes < cell_count(len(candidates)) else 0
    search = _Search(k, metric, probes, seed)
    found = searches.keep(lambda: search.of(rows_read_in_metric(features, metric), queries, candidates),
                          features, (queries, candidates), search)
    if probes:
        searches.note({"k": k, "cells": cell_count(len(candidates)), "probes": probes, "recall": found.recall})
    return found


def cell_count(m: int) -> int:
    """How many cells the search by cells makes of m rows."""
    return round(m**0.5)


def pairs_sought(m: int, probes: int) -> float:
    """How many pairs of m rows are compared, for ``estimate``."""
    return m**2 * (min(1, probes / cell_count(m)) if probes else 1)


@dataclass(frozen=True)
class _Search:
    """A search for neighbors; see ``nearest_among``."""

    k: int
    metric: str
    probes: int
    seed: int

    def of(self, rows: np.ndarray, queries: np.ndarray, candidates: np.ndarray) -> Neighbors:
        """``Neighbors`` of rows (n, d) in the metric."""
        if self.probes:
            return self._by_cells(rows, queries, candidates)
        if len(queries) == len(candidates) == len(rows):
            return self._of_all(rows)
        best = _Best(len(queries), self.k)
        best.add(rows, np.arange(len(queries)), queries, candidates)
        return Neighbors(best.places, best.distances)

    def _of_all(self, rows: np.ndarray) -> Neighbors:
        near, n = _NearRows(rows), len(rows)
        found = Neighbors(np.empty((n, self.k), np.int64), np.empty((n, self.k)))
        for part in blocks(n, 6 * n):
            found.places[part], found.distances[part] = near.rank(np.arange(part.start, part.stop), self.k)
        return found

    def _by_cells(self, rows: np.ndarray, queries: np.ndarray, candidates: np.ndarray) -> Neighbors:
        cells = cell_count(len(candidates))
        clusters = k_means(take(rows, candidates), cells, seed=self.seed, starts=1, batch=max(BATCH, 4 * cells))
        members = [take(candidates, places) for places in classes(clusters.labels)]
        best, asking = _Best(len(queries), self.k), self._probe(rows, queries, clusters.centers)
        for cell, of_cell in enumerate(members):
            best.add(rows, np.flatnonzero((asking == cell).any(axis=1)), queries, of_cell)
        lacking = np.flatnonzero(best.places[:, -1] < 0)
        best.distances[lacking] = np.inf  # nothing found counts: it would be found again
        best.places[lacking] = -1
        best.add(rows, lacking, queries, candidates)
        asked = np.sort(stream(self.seed, "recall").permutation(len(queries))[:_ASKED])
        exact = _Best(len(asked), self.k)
        exact.add(rows, np.arange(len(asked)), queries[asked], candidates)
        right = first_digits(best.distances[asked]**2) <= first_digits(exact.distances[:, -1:]**2)
        return Neighbors(best.places, best.distances, float(right.mean()))

    def _probe(self, rows: np.ndarray, queries: np.ndarray, centers: np.ndarray) -> np.ndarray:
        """(q, probes): the cells that each query asks, those of the nearest centers."""
        middle = centers.mean(axis=0)
        centers, probes = centers - middle, min(self.probes, len(centers))
        lengths = squared_norms(centers)
        probed = np.empty((len(queries), probes), np.int32)
        for part in blocks(len(queries), 8 * (2 * len(centers) + rows.shape[1])):
            asked = np.subtract(take(rows, queries[part]), middle)
            squares = lengths - 2 * multiply(asked, centers.T)
            unit = _UNIT * (squared_norms(asked).max() + lengths.max())
            probed[part] = smallest_places(squares, probes, unit or 1.0)
        return probed


class _Best:
    """The k nearest samples that were found so far to each of q queries; place -1 where there are fewer."""

    def __init__(self, q: int, k: int) -> None:
        self.places, self.distances = np.full((q, k), -1), np.full((q, k), np.inf)

    def add(self, rows: np.ndarray, asking: np.ndarray, queries: np.ndarray, candidates: np.ndarray) -> None:
        """Look for nearer ones among candidates.

        Args:
            rows: (n, d), of all samples.
            asking: numbers of the queries that look.
            queries: (q,) ascending places.
            candidates: (m,) ascending places.
        """
        k, inside = self.places.shape[1], np.isin(queries[asking], candidates)
        for numbers, most, are_candidates in ((asking[~inside], len(candidates), False),
                                              (asking[inside], len(candidates) - 1, True)):
            if not len(numbers) or not most:
                continue
            begin = 0
            for block, near, distances in nearest_samples(rows, queries[numbers], candidates, min(k, most),
                                                          are_candidates):
                self._merge(numbers[begin:begin + len(block)], near, distances)
                begin += len(block)

    def _merge(self, numbers: np.ndarray, near: np.ndarray, distances: np.ndarray) -> None:
        k = self.places.shape[1]
        places = np.concatenate([self.places[numbers], near], axis=1)
        distances = np.concatenate([self.distances[numbers], distances], axis=1)
        order = np.lexsort((places, first_digits(distances**2)), axis=1)[:, :k]
        self.places[numbers] = np.take_along_axis(places, order, axis=1)
        self.distances[numbers] = np.take_along_axis(distances, order, axis=1)


def close_pairs(features: np.ndarray, radius: float) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """All pairs of rows at a Euclidean distance of at most ``radius``, those of a block of rows at a time.

    Candidates are found in float32; float64 decides, by the first 12 digits of the squared distances.

    Args:
        features: (n, d).
        radius: 0 or more.

    Yields:
        (p,) the lower places, (p,) the higher ones, and (p,) float64 their distances, of any number of pairs.
    """
    search = _NearRows(features)
    for part in blocks(len(features), 6 * len(features)):
        yield search.within(np.arange(part.start, part.stop), radius)


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
        parts = blocks(len(features), 8 * features.shape[1])
        farthest = max(np.abs(np.subtract(features[part], center)).max() for part in parts)
        scale = 2.0 ** -np.frexp(farthest)[1]
        rows, self._norms = np.empty(features.shape, np.float32), np.empty(len(features))
        for part in parts:
            scaled = np.subtract(features[part], center)
            scaled *= scale
            rows[part], self._norms[part] = scaled, squared_norms(scaled)
        self._quick, self._scale = QuickProducts(rows), scale

    def nearest(self, block: np.ndarray, k: int, exclude_self: bool) -> np.ndarray:
        """Places (b, k), ascending, of the k nearest rows to the rows of ``block``."""
        wanted = k if exclude_self else k + 1
        place, _ = self.rank(block, wanted, exclude_self)
        return np.sort(place[:, wanted - k:], axis=1)

    def rank(self, block: np.ndarray, k: int, exclude_self: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """Places (b, k), the nearest first, of the k nearest rows to the rows of ``block``, and their distances."""
        squares, error = self._quick_squares(block)
        if exclude_self:
            squares[np.arange(len(block)), block] = np.inf
        bound = bound_of_smallest(squares, k)
        near, place = np.nonzero(squares <= (bound + error).astype(np.float32)[:, None])
        exact = squared_distances(self._given, block[near], place)
        first = first_of_each(len(block), k, near, place, first_digits(exact))
        return place[first], np.sqrt(exact[first])

    def within(self, block: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pairs of a row of ``block`` and a later one no farther than ``radius``: their places and distances."""
        squares, error = self._quick_squares(block)
        bound = (self._scale * radius)**2 + error
        near, place = np.nonzero(squares <= np.nextafter(bound.astype(np.float32), np.float32(np.inf))[:, None])
        later = place > block[near]
        left, right = block[near[later]], place[later]
        exact = squared_distances(self._given, left, right)
        close = first_digits(exact) <= first_digits(np.square(np.asarray(radius, np.float64)))
        return left[close], right[close], np.sqrt(exact[close])

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
