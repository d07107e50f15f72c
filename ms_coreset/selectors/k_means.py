"""Groups of near rows, by k-means: Euclidean or spherical, from seeded starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.randomness import stream
from ms_coreset.rows import take
from ms_coreset.selectors.centers import class_mean
from ms_coreset.selectors.distances import EQUAL
from ms_coreset.selectors.norms import rows_in_metric, squared_norms
from ms_coreset.selectors.processors import float_type, one_blas_thread
from ms_coreset.selectors.products import multiply, resident_rows
from ms_coreset.selectors.row_blocks import blocks
from ms_coreset.selectors.smallest import first_digits, first_of_each

STARTS, STEPS = 4, 100
WHOLE_BYTES = 1 << 30  # of the rows in float64: more are not held, and clustered from batches
BATCH = 1 << 14  # rows of a step from batches, at least
BATCH_ROWS_PER_CENTER = 4
_SETTLED = 1e-4  # of the root mean square distance of rows from their mean: what no center moves by any more
_BITS = 33  # of squared distances that are compared: lengths of 1 are rounded to 40
_ALIKE = 1e-9  # of an inertia: starts that differ by less found the same


class Clusters(NamedTuple):
    """Groups of rows, numbered by their first members: row 0 is in cluster 0.

    Attributes:
        labels: (n,) int64, the cluster of each row, 0 to K - 1. None is empty.
        centers: (K, d) float64; of length 1 with "cosine".
        distances: (n,) float64, Euclidean, of each row (with "cosine" at length 1: then 1 - cos = distance^2 / 2) to
            the center of its cluster.
        steps: how often the centers of the best start were moved.
    """

    labels: np.ndarray
    centers: np.ndarray
    distances: np.ndarray
    steps: int

    @property
    def inertia(self) -> float:
        """The sum of the squared distances."""
        return float(self.distances @ self.distances)


@one_blas_thread
def k_means(features: np.ndarray, k: int, *, metric: str = "euclidean", seed: int = 0, starts: int = STARTS,
            batch: int | None = None) -> Clusters:
    """Clusters of rows that lie near their mean: argmin over labels z and centers c of sum_i ||x_i - c_{z_i}||^2.

    Each start draws centers by k-means++, then moves each to the mean of its rows until none moves by more than 1e-4 of
    the rows' root mean square distance from their mean, 100 times at most (Lloyd). The least sum of squares counts; of
    equal ones, within 1e-9, the first. A cluster that loses its rows takes the row that is farthest from its center.
    With "cosine" the rows and the centers are at length 1 (spherical k-means).

    Rows that take more than 1 GiB in float64 are not held: centers start from a sample of them, clustered as above, and
    each step moves them by a batch, c <- c + (sum of its rows - m c) / (rows it ever had), m of them in this batch
    (mini-batch k-means); every row is in one batch. In the end every row goes to the nearest center.

    Ours, where scikit-learn has ``KMeans`` and ``MiniBatchKMeans``: these are not spherical, add up in an order that
    depends on the number of threads, and choose by the last bit among centers that are equally far. Here sums go by
    rows, and the first 10 digits of differences in float64 decide, of equal ones the lowest center: the same on any
    number of threads.

    Args:
        features: (n, d) numbers.
        k: clusters, 1 to n. There are fewer where fewer rows differ.
        metric: "euclidean", or "cosine".
        seed: of the draws; each start has a random stream of its own.
        starts: how many.
        batch: rows of a step; None: all, or of rows that are not held the larger of 16,384 and 4 k; 0: all in any case.

    Returns:
        ``Clusters``.

    Raises:
        MsCoresetError: for more clusters than rows.

    Source: Lloyd, Least Squares Quantization in PCM, 1982; Arthur & Vassilvitskii, k-means++, SODA 2007, the best of 2
    + log k draws each time, as in scikit-learn; Dhillon & Modha, Concept Decompositions, Machine Learning 2001
    (spherical); Sculley, Web-Scale K-Means Clustering, WWW 2010 (batches).
    """
    n = len(features)
    if not 1 <= k <= n:
        raise MsCoresetError(f"{k} clusters of {n:,} samples: there must be 1 to {n:,}")
    rows = _Rows(features, metric)
    size = _batch_size(features, k) if batch is None else batch
    start = _Start(k, metric == "cosine", seed, starts)
    centers, steps = _from_batches(rows, size, start) if 0 < size < n else start.best(rows[np.arange(n)])
    return _by_first_member(rows, centers, steps)


def _batch_size(features: np.ndarray, k: int) -> int:
    """Rows of a step; 0: all."""
    held = 8 * features.shape[0] * features.shape[1] <= WHOLE_BYTES
    return 0 if held else max(BATCH, BATCH_ROWS_PER_CENTER * k)


class _Rows:
    """Rows (n, d) whose Euclidean distances are those of a metric, float64, read where they are asked for.

    Euclidean ones are relative to the mean of all, where products lose least to cancellation.
    """

    def __init__(self, features: np.ndarray, metric: str) -> None:
        self._features, self._metric = features, metric
        self.origin = np.zeros(features.shape[1]) if metric == "cosine" else class_mean(features)

    def __len__(self) -> int:
        return len(self._features)

    def __getitem__(self, places: np.ndarray) -> np.ndarray:
        return np.asarray(rows_in_metric(take(self._features, places), self._metric), np.float64) - self.origin

    def in_blocks(self, width: int) -> Iterator[tuple[slice, np.ndarray]]:
        """(places, rows) of all, a block at a time that leaves room for so many numbers beside each row."""
        for part in blocks(len(self), 8 * (2 * self.origin.size + width)):
            yield part, self[np.arange(part.start, part.stop)]


@dataclass(frozen=True)
class _Start:
    """Lloyd's steps from the best of several draws of k centers."""

    k: int
    spherical: bool
    seed: int
    starts: int

    def best(self, rows: np.ndarray) -> tuple[np.ndarray, int]:
        """(centers (K, d), steps) of rows (n, d) float64: those of the least inertia, of equal ones the first."""
        best, least = None, np.inf
        for number in range(self.starts):
            centers = plus_plus(rows, self.k, stream(self.seed, "k-means", number))
            centers, steps, inertia = self._lloyd(rows, centers)
            if best is None or inertia < least * (1 - _ALIKE):
                best, least = (centers, steps), inertia
        assert best is not None
        return best

    def _lloyd(self, rows: np.ndarray, centers: np.ndarray) -> tuple[np.ndarray, int, float]:
        """(centers, steps, inertia) after Lloyd's steps."""
        settled = _SETTLED * np.sqrt(squared_norms(rows, class_mean(rows)).mean())
        steps, longest = 0, np.inf
        while longest > settled and steps < STEPS:
            labels, squares = nearest_centers(rows, centers)
            _refill(labels, squares, len(centers))
            former, centers = centers, self.move(centers, *_sums(rows, labels, len(centers)))
            steps, longest = steps + 1, np.sqrt(squared_norms(centers - former).max())
        labels, squares = nearest_centers(rows, centers)
        taken = _refill(labels, squares, len(centers))
        centers[labels[taken]] = rows[taken]
        return centers, steps, float(squares.sum())

    def move(self, centers: np.ndarray, sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Means (K, d) from sums and counts (K,), at length 1 where spherical; ``centers`` where there is none."""
        means = sums / np.maximum(counts, 1)[:, None]
        if self.spherical:
            means = rows_in_metric(means, "cosine")
        lacking = (counts == 0) | (self.spherical & ~means.any(axis=1))
        return np.where(lacking[:, None], centers, means)


def _from_batches(rows: _Rows, size: int, start: _Start) -> tuple[np.ndarray, int]:
    """(centers, steps) that begin with those of a sample of the rows and are moved by batches of ``size`` rows."""
    draws, n = stream(start.seed, "k-means batches"), len(rows)
    sample = rows[np.sort(draws.permutation(n)[:max(size, BATCH_ROWS_PER_CENTER * start.k)])]
    centers, _ = start.best(sample)
    had = np.bincount(nearest_centers(sample, centers)[0], minlength=len(centers)).astype(float)
    order = draws.permutation(n)
    for part in blocks(n, 1, size):
        batch = rows[np.sort(order[part])]
        sums, counts = _sums(batch, nearest_centers(batch, centers)[0], len(centers))
        had += counts
        centers = start.move(centers, centers * (had - counts)[:, None] + sums, had)
    return centers, -(-n // size)


def plus_plus(rows: np.ndarray, k: int, draws: np.random.RandomState) -> np.ndarray:
    """At most k of the rows (n, d) as centers, by greedy k-means++: no two are equal.

    The first is ``draws.randint(n)``. Then, with D_i the squared distance to the nearest center so far, 2 + floor(log
    k) rows are drawn with probability D_i / sum D, each the first row at which the sum of the D exceeds a uniform share
    of it (``draws.random_sample``), and the one that leaves the least sum of D becomes a center.

    Args:
        rows: (n, d) float64.
        k: how many.
        draws: the random stream.

    Returns:
        (K, d) float64; K < k where no more than K rows differ.
    """
    squares = squared_norms(rows)
    chosen = [draws.randint(len(rows))]
    nearest = _squares_to(rows, squares, chosen)[0]
    tries = 2 + int(np.log(k))
    while len(chosen) < k and nearest.any():
        ends = np.cumsum(nearest)
        drawn = np.searchsorted(ends, draws.random_sample(tries) * ends[-1], side="right")
        drawn = np.minimum(drawn, np.flatnonzero(nearest)[-1])
        left = np.minimum(nearest, _squares_to(rows, squares, drawn))
        best = int(np.argmin(first_digits(left.sum(axis=1), _BITS)))
        nearest = left[best]
        chosen.append(drawn[best])
    return rows[chosen]


def _squares_to(rows: np.ndarray, squares: np.ndarray, places: Sequence[int] | np.ndarray) -> np.ndarray:
    """Squared distances (m, n) from the rows at m places to all, 0 between equal rows."""
    lengths = squares + squares[places][:, None]
    found = multiply(rows[places], rows.T)
    found *= -2
    found += lengths
    found[found <= EQUAL * lengths] = 0
    return found


def nearest_centers(rows: np.ndarray, centers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest center to each row by Euclidean distance, of equally near ones the lowest.

    Products leave few centers in question; among those, the first 10 digits of differences decide.

    Args:
        rows: (n, d) float64.
        centers: (K, d) float64.

    Returns:
        (n,) int64 places of the centers; (n,) squared distances to them.
    """
    labels, squares = np.empty(len(rows), np.int64), np.empty(len(rows))
    resident, lengths = resident_rows(centers), squared_norms(centers)
    error = 2 * (rows.shape[1] + 4) * float(np.finfo(float_type()).eps)
    for part in blocks(len(rows), 8 * (3 * len(centers) + rows.shape[1])):
        own = squared_norms(rows[part])
        found = resident.products(rows[part])
        found *= -2
        found += lengths
        labels[part] = found.argmin(axis=1)
        least = found[np.arange(len(own)), labels[part]]
        squares[part] = np.maximum(least + own, 0)
        doubt = error * (own + lengths.max()) + 2.0**-_BITS * squares[part]
        close = found <= (least + 2 * doubt)[:, None]
        doubtful = np.flatnonzero(close.sum(axis=1) > 1)
        near, place = np.nonzero(close[doubtful])
        exact = squared_norms(rows[part.start + doubtful[near]] - centers[place])
        first = first_of_each(len(doubtful), 1, near, place, first_digits(exact, _BITS))[:, 0]
        labels[part.start + doubtful], squares[part.start + doubtful] = place[first], exact[first]
    return labels, squares


def _refill(labels: np.ndarray, squares: np.ndarray, k: int) -> np.ndarray:
    """Give each empty cluster, lowest first, the row that is farthest from its center; of equal ones the lowest.

    A row that is alone in its cluster stays, and so does one at its center. Labels and squares are changed.

    Args:
        labels: (n,) clusters.
        squares: (n,) squared distances to the centers.
        k: how many clusters.

    Returns:
        The rows that were given, by rising cluster.
    """
    counts = np.bincount(labels, minlength=k)
    taken: list[int] = []
    empty = iter(np.flatnonzero(counts == 0))
    wanted = int((counts == 0).sum())
    for row in np.argsort(-first_digits(squares, _BITS), kind="stable") if wanted else ():
        if len(taken) == wanted or squares[row] == 0:
            break
        if counts[labels[row]] > 1:
            counts[labels[row]] -= 1
            labels[row], squares[row] = next(empty), 0
            taken.append(row)
    return np.array(taken, np.int64)


def _sums(rows: np.ndarray, labels: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """(sums (k, d), counts (k,)) of the rows of each cluster, added up in the order of the rows."""
    from scipy.sparse import csr_matrix  # scipy takes longer to load than --help may

    counts = np.bincount(labels, minlength=k)
    ends = np.concatenate([[0], np.cumsum(counts)])
    members = csr_matrix((np.ones(len(rows)), np.argsort(labels, kind="stable"), ends), (k, len(rows)))
    return members @ rows, counts


def _by_first_member(rows: _Rows, centers: np.ndarray, steps: int) -> Clusters:
    """All rows' clusters, without empty ones, numbered by their first members."""
    labels, squares = np.empty(len(rows), np.int64), np.empty(len(rows))
    for part, block in rows.in_blocks(len(centers)):
        labels[part], _ = nearest_centers(block, centers)
        squares[part] = squared_norms(block - centers[labels[part]])
    found, first = np.unique(labels, return_index=True)
    order = np.argsort(first)
    number = np.empty(len(centers), np.int64)
    number[found[order]] = np.arange(len(found))
    return Clusters(number[labels], centers[found[order]] + rows.origin, np.sqrt(squares), steps)
