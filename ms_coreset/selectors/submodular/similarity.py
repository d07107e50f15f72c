"""Similarities of the samples of a pool, row by row: an n x n matrix is held only where ``as_matrices`` makes it.

Each has ``len``; ``rows(places, columns=slice(None))``, the similarities (m, n) float64 of m places to all samples (or
to some), a new array; ``column_sums()``, (n,); and ``batch``, the number of rows that are best computed together. Those
of graph cut and log determinant also have ``diagonal()``, (n,), and ``sum_of_rows()``, of places that are added one by
one.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

import numpy as np

from ms_coreset.rows import row_wise
from ms_coreset.selectors import last_layer_gradients, processors, products, row_blocks
from ms_coreset.selectors.distances import distances_from_products, squares_from_products
from ms_coreset.selectors.memory import fits_as_matrices
from ms_coreset.selectors.neighbors import nearest_neighbors
from ms_coreset.selectors.norms import unit_length
from ms_coreset.stored_rows import StoredRows

if TYPE_CHECKING:
    from ms_coreset.selectors.last_layer_gradients import LastLayerGradients
    from ms_coreset.selectors.submodular.lcmat import CurvatureDistance

BLOCK_BYTES = 16 << 20
TILE = 400  # rows and columns of a matrix made in tiles that stay in the cache; a power of two would clash in it
NEARNESS_MARGIN = 1e-3
HUGE_PAGES_FROM = 4 << 20
TOGETHER, KEPT, KEPT_BYTES = 32, 256, 32 << 20  # of ``RowsAhead``: rows computed together; rows, and bytes, kept

Made = TypeVar("Made", bound="Computed")
Result = TypeVar("Result")


def blocks(places: np.ndarray, n: int) -> list[np.ndarray]:
    """``places`` in parts whose rows of n take no more than ``BLOCK_BYTES``."""
    return [places[part] for part in row_blocks.blocks(len(places), 8 * n, BLOCK_BYTES)]


def as_matrices(similarities: Sequence[Made], memory: int) -> Sequence[Made | Dense]:
    """The similarities, each as a matrix made once, if they fit in memory; else as given.

    Args:
        similarities: of the pools.
        memory: bytes that these matrices and the data's own copies may take.

    Returns:
        The similarities.
    """
    if not _fit(similarities, memory):
        return similarities
    return [_with_matrix(similarity, lambda rows, columns, tile: None)[0] for similarity in similarities]


def held(similarity: ComputedSimilarity, memory: int) -> ComputedSimilarity | Held:
    """The similarities, each computed only once if they fit in memory as a matrix; else as given."""
    return Held(similarity) if _fit([similarity], memory) else similarity


def _fit(similarities: Sequence[Made], memory: int) -> bool:
    return fits_as_matrices(memory, list(map(len, similarities)), *similarities[0].width)


def _with_matrix(similarity: Rows, work: Callable[[slice, slice, np.ndarray], Result]) -> tuple[Dense, list[Result]]:
    """The matrix, its upper half computed in tiles and mirrored, and what ``of_upper_half`` gives of ``work``."""
    matrix = _empty_matrix(len(similarity))

    def fill(rows: slice, columns: slice, tile: np.ndarray) -> Result:
        matrix[rows, columns] = tile
        matrix[columns, rows] = tile.T
        return work(rows, columns, tile)

    results = of_upper_half(similarity, fill)
    return Dense(matrix), results


def of_upper_half(similarity: Rows, work: Callable[[slice, slice, np.ndarray], Result]) -> list[Result]:
    """What ``work(rows, columns, tile)`` gives of each tile of the matrix's upper half, the diagonal's among them.

    Args:
        similarity: of the pool, symmetric.
        work: it may be called in several threads at a time.

    Returns:
        Its results, in the order of the tiles, whatever the number of threads.
    """
    if isinstance(similarity, Held) and similarity.matrix is None:
        return similarity.make(work)
    n = len(similarity)
    return processors.side_by_side(
        lambda rows, columns: work(rows, columns, similarity.rows(np.arange(n)[rows], columns)),
        list(combinations_with_replacement(row_blocks.blocks(n, 1, TILE), 2)))


def _empty_matrix(n: int) -> np.ndarray:
    """An (n, n) array, in small pages of memory.

    From 4 MB on NumPy asks the system for huge pages. A machine that has run for a while must move other memory around
    for these: three seconds for 10,000 x 10,000, where filling small ones takes half a second. Private pages are filled
    in two thirds of the time of shared ones, which are all that Windows has.
    """
    size = 8 * n * n
    if size < HUGE_PAGES_FROM:
        return np.empty((n, n))
    private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_ANONYMOUS") else {}
    return np.frombuffer(mmap.mmap(-1, size, **private)).reshape(n, n)


class Rows(Protocol):
    """Similarities, or distances, by rows."""

    def __len__(self) -> int:
        """How many elements there are."""

    def rows(self, places: np.ndarray, columns: slice = slice(None)) -> np.ndarray:
        """The similarities of some places, (m, n)."""


class Computed(Rows, Protocol):
    """Rows that are computed from data of a ``width`` (features, columns of the gradients' other factor)."""

    @property
    def width(self) -> tuple[int, int]:
        """See above."""


class Similarity(Rows, Protocol):
    """What facility location asks of similarities; see above."""

    @property
    def batch(self) -> int:
        """How many rows are cheaper together than one by one."""

    def column_sums(self) -> np.ndarray:
        """Each element's similarities to all, summed up: (n,)."""


class ComputedSimilarity(Computed, Similarity, Protocol):
    """Similarities that are computed from data."""


class SumsOfRows(Protocol):
    """sum_{i in S} s_ij of any j, for an S that grows."""

    def add(self, place: int) -> None:
        """Add ``place`` to S."""

    def at(self, places: np.ndarray) -> np.ndarray:
        """The sums of ``places``."""


class Between(Protocol):
    """What log determinant asks of similarities; see above."""

    def __len__(self) -> int:
        """How many elements there are."""

    def between(self, places: np.ndarray | slice, others: np.ndarray) -> np.ndarray:
        """The similarities (m, m') of some places and others, a fresh array."""

    def diagonal(self) -> np.ndarray:
        """Each element's similarity to itself: (n,)."""


class WholeSimilarity(Similarity, Between, Protocol):
    """What graph cut asks of similarities, and all others; see above."""

    def sum_of_rows(self) -> SumsOfRows:
        """Of an empty S."""


class Dense:
    """A symmetric matrix (n, n)."""

    batch = 8

    def __init__(self, matrix: np.ndarray) -> None:
        self._matrix = matrix

    def __len__(self) -> int:
        return len(self._matrix)

    def rows(self, places: np.ndarray, columns: slice = slice(None)) -> np.ndarray:
        return self._matrix[places, columns]

    def between(self, places: np.ndarray | slice, others: np.ndarray) -> np.ndarray:
        """The similarities of some places and others, (m, m'), a fresh array."""
        return self._matrix[places][:, others]

    def row(self, place: int) -> np.ndarray:
        """A view (n,) of one row."""
        return self._matrix[place]

    def column_sums(self) -> np.ndarray:
        return self._matrix.sum(axis=0)

    def diagonal(self) -> np.ndarray:
        return np.diag(self._matrix).copy()

    def sum_of_rows(self) -> SumOfRows:
        return SumOfRows(self)

    def nearness(self, margin: float = NEARNESS_MARGIN) -> Dense:
        """The similarities of these distances, written over them; see ``Nearness``."""
        top = margin + self._matrix.max()
        return Dense(np.subtract(top, self._matrix, out=self._matrix))


class SumOfRows:
    """sum_{i in S} s_ij of any j, for an S that grows."""

    def __init__(self, similarity: Rows) -> None:
        self._similarity = similarity
        self._total = np.zeros(len(similarity))

    def add(self, place: int) -> None:
        self._total += self._similarity.rows(np.array([place]))[0]

    def at(self, places: np.ndarray) -> np.ndarray:
        return self._total[places]


class Cosine:
    """Cosine similarity s_ij = 0.5 + 0.5 cos(x_i, x_j), in [0, 1], of vectors x_i = vec(l_i r_i^T).

    A zero vector has cos 0 with all. The cosine of such vectors is that of the l times that of the r, so that
    last-layer gradients, l_i = g_i and r_i = [1 ; e_i], need never be written out. Plain vectors are the case l_i = 1.

    Args:
        left: (n, C) float64, the l_i, which are divided by their norms in place.
        right: (n, d) float64, the r_i, which are divided by their norms in place.
    """

    batch = 32

    def __init__(self, left: np.ndarray, right: np.ndarray) -> None:
        self._given = left, right
        self.width = right.shape[1], left.shape[1]

    @cached_property
    def _left(self) -> np.ndarray:
        return unit_length(self._given[0])

    @cached_property
    def _right(self) -> np.ndarray:
        return unit_length(self._given[1])

    @cached_property
    def _resident(self) -> list[products.HostRows | products.DeviceRows]:
        return [products.resident_rows(factor) for factor in (self._left, self._right)]

    @classmethod
    def of_features(cls, features: np.ndarray) -> CosineOfFeatures:
        """The cosine of features (n, d)."""
        return CosineOfFeatures(features)

    @classmethod
    def of_gradients(cls, gradients: LastLayerGradients) -> Cosine:
        """The cosine of ``LastLayerGradients``."""
        inputs = np.empty((len(gradients), gradients.features.shape[1] + 1))
        inputs[:, 0], inputs[:, 1:] = 1, gradients.features
        return cls(gradients.errors.copy(), inputs)

    def __len__(self) -> int:
        return len(self._given[0])

    def rows(self, places: np.ndarray, columns: slice = slice(None)) -> np.ndarray:
        left, right = self._resident
        return _from_products(left.products(self._left[places], columns), right.products(self._right[places], columns))

    def between(self, places: np.ndarray | slice, others: np.ndarray) -> np.ndarray:
        """The similarities (m, m') of some places and others, computed on the host."""
        return _from_products(*(np.matmul(factor[places], factor[others].T) for factor in (self._left, self._right)))

    def column_sums(self) -> np.ndarray:
        """sum_i s_ij from the sum of all l_i r_i^T: n C d operations, not n^2."""
        total = _SumOfCosines(self._left, self._right)
        total.add_all(products.product(self._left.T, self._right.T))
        return total.at(np.arange(len(self)))

    def diagonal(self) -> np.ndarray:
        """Exactly 1, or 0.5 of a zero vector: log determinant's first pick is a tie that rounding must not break."""
        nonzero = self._left.any(axis=1) & self._right.any(axis=1)
        return np.where(nonzero, 1.0, 0.5)

    def sum_of_rows(self) -> _SumOfCosines:
        return _SumOfCosines(self._left, self._right)


class CosineOfFeatures(Cosine):
    """The ``Cosine`` of features (n, d), of which a float64 copy of length 1 is made when it is first needed."""

    def __init__(self, features: np.ndarray) -> None:
        self._features = features
        self.width = features.shape[1], 1

    def __len__(self) -> int:
        return len(self._features)

    @cached_property
    def _left(self) -> np.ndarray:
        return np.ones((len(self), 1))

    @cached_property
    def _right(self) -> np.ndarray:
        return unit_length(np.array(self._features, np.float64))

    def most_similar(self, count: int, probes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """The elements (n, count) most similar to each, itself first, and how similar they are (n, count).

        They are sought by cells, see ``neighbors.nearest_among``, which take a row of zeros for one with a cos of 0.5.
        Rows are brought to length 1 whenever they are read, so that no copy of all is made.
        """
        rows = cast("np.ndarray", StoredRows("features", self._features))
        zero = ~row_wise(lambda block: block.any(axis=1), rows)
        nearest, values = np.arange(len(self))[:, None], np.where(zero, 0.5, 1.0)[:, None]
        if count == 1:
            return nearest, values
        found = nearest_neighbors(rows, count - 1, metric="cosine", probes=probes, seed=seed)
        similar = np.where(zero[:, None] | zero[found.places], 0.5, 1 - found.distances**2 / 4)
        return np.concatenate([nearest, found.places], axis=1), np.concatenate([values, similar], axis=1)


def _from_products(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """0.5 + 0.5 cos from the products of the factors, written over the second."""
    right *= left
    np.clip(right, -1, 1, out=right)
    right *= 0.5
    right += 0.5
    return right


class _SumOfCosines:
    """sum_{i in S} s_ij = |S| / 2 + l_j^T M r_j / 2 with M = sum_{i in S} l_i r_i^T (C, d): no row is ever needed."""

    def __init__(self, left: np.ndarray, right: np.ndarray) -> None:
        self._left, self._right = left, right
        self._total = np.zeros((left.shape[1], right.shape[1]))
        self._size = 0

    def add(self, place: int) -> None:
        self._total += np.outer(self._left[place], self._right[place])
        self._size += 1

    def add_all(self, total: np.ndarray) -> None:
        """Add all elements, whose l_i r_i^T sum to ``total``."""
        self._total += total
        self._size += len(self._left)

    def at(self, places: np.ndarray) -> np.ndarray:
        cosines = [np.einsum("jd,jd->j", self._left[block] @ self._total, self._right[block])
                   for block in blocks(places, 8 * self._right.shape[1])]
        return 0.5 * self._size + 0.5 * np.concatenate(cosines)


class Held:
    """Similarities that are kept as a matrix, made in the first pass over all of them, or for the second row.

    Args:
        similarity: what they are computed by.
    """

    def __init__(self, similarity: ComputedSimilarity) -> None:
        self._similarity = similarity
        self._asked = False
        self.matrix: Dense | None = None

    def __len__(self) -> int:
        return len(self._similarity)

    @property
    def batch(self) -> int:
        """That of what computes the next rows."""
        return (self.matrix or self._similarity).batch

    def make(self, work: Callable[[slice, slice, np.ndarray], Result]) -> list[Result]:
        """Make the matrix; the results are those of ``of_upper_half``."""
        self.matrix, results = _with_matrix(self._similarity, work)
        return results

    def rows(self, places: np.ndarray, columns: slice = slice(None)) -> np.ndarray:
        if self.matrix is None and (self._asked or len(places) > 1):
            self.make(lambda rows, columns, tile: None)
        self._asked = True
        return (self.matrix or self._similarity).rows(places, columns)

    def column_sums(self) -> np.ndarray:
        if self.matrix is None and not isinstance(self._similarity, Cosine):  # of which they take all rows
            self.make(lambda rows, columns, tile: None)
        return (self.matrix or self._similarity).column_sums()


def each_row(similarity: Rows, places: np.ndarray) -> Iterator[np.ndarray]:
    """The rows (n,) of ``places``, one after the other: views of the matrix, where there is one."""
    matrix = matrix_of(similarity)
    if matrix is not None:
        yield from map(matrix.row, places)
    else:
        for block in blocks(places, len(similarity)):
            yield from similarity.rows(block)


def matrix_of(similarity: Rows) -> Dense | None:
    """The similarities as a matrix, if that is there."""
    matrix = similarity.matrix if isinstance(similarity, Held) else similarity
    return matrix if isinstance(matrix, Dense) else None


class RowsAhead:
    """Rows of similarities one by one, each computed together with those that are likely to be asked for soon.

    A product of matrices takes a fraction of the time of as many products with a vector.

    Args:
        similarity: of the pool.
    """

    def __init__(self, similarity: Rows) -> None:
        self._similarity, self._asked = similarity, np.zeros(len(similarity), bool)
        self._kept: dict[int, np.ndarray] = {}
        self._most = 1 if isinstance(similarity, Dense) else rows_kept(len(similarity))

    def row(self, place: int, gains: np.ndarray) -> np.ndarray:
        """The similarities (n,) of ``place`` to all, of a set function whose gains (n,) have just led to it."""
        self._asked[place] = True
        if place not in self._kept:
            likely = np.argsort(np.where(self._asked, np.inf, -gains), kind="stable")
            places = np.append(likely[:min(TOGETHER, self._most) - 1], place)
            for other, row in zip(places.tolist(), self._similarity.rows(places), strict=True):
                self._kept[other] = row.copy()  # a view would keep all that were computed together
            for oldest in list(self._kept)[:-self._most]:
                del self._kept[oldest]
        return self._kept.pop(place)


def rows_kept(n: int) -> int:
    """How many rows of n similarities ``RowsAhead`` keeps."""
    return max(1, min(KEPT, n, KEPT_BYTES // (8 * n)))


class GradientDistance:
    """d_ij = ||G_i - G_j|| of ``LastLayerGradients``, at least 1e-6; see ``distances.distances_from_products``.

    Args:
        gradients: of the samples.
        squared: d_ij is the square, at least 0.
    """

    def __init__(self, gradients: LastLayerGradients, squared: bool = False) -> None:
        self._from_products = squares_from_products if squared else distances_from_products
        self._resident = last_layer_gradients.ResidentGradients(gradients)
        self._squares = gradients.squared_norms()
        self.width = gradients.features.shape[1], gradients.errors.shape[1]

    def __len__(self) -> int:
        return len(self._resident)

    def rows(self, places: np.ndarray, columns: slice = slice(None)) -> np.ndarray:
        gram = self._resident.gram(self._resident.gradients.take(places), columns)
        return self._from_products(gram, self._squares[places], self._squares[columns])

    def nearness(self, margin: float = NEARNESS_MARGIN) -> Nearness:
        """The similarities of these distances."""
        return Nearness(self, margin)


class Nearness:
    """s_ij = max_kl d_kl - d_ij + margin of distances d: the margin is the smallest similarity (CRAIG, LCMat)."""

    batch = Cosine.batch

    def __init__(self, distances: GradientDistance | CurvatureDistance, margin: float = NEARNESS_MARGIN) -> None:
        self._distances = distances
        n = len(distances)
        self._top = margin + max(distances.rows(block).max() for block in blocks(np.arange(n), n))

    def __len__(self) -> int:
        return len(self._distances)

    def rows(self, places: np.ndarray, columns: slice = slice(None)) -> np.ndarray:
        return self._top - self._distances.rows(places, columns)

    def column_sums(self) -> np.ndarray:
        n = len(self)
        return np.concatenate([self.rows(block).sum(axis=1) for block in blocks(np.arange(n), n)])
