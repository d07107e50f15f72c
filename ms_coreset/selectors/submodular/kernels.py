"""Kernels: similarities of features, of a function of the user's, and such as are given; see ``similarity``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.evidence import among
from ms_coreset.evidence_checks import is_sparse
from ms_coreset.rows import as_slice
from ms_coreset.selectors import products
from ms_coreset.selectors.distances import squares_from_products
from ms_coreset.selectors.norms import squared_norms, unit_length
from ms_coreset.selectors.submodular.live_pairs import Pairs
from ms_coreset.selectors.submodular.similarity import Dense, SumOfRows, blocks, of_upper_half

Kernel = Callable[[np.ndarray, np.ndarray], np.ndarray]  # of rows (a, d) and (b, d): how similar, (a, b)
Form = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]  # of products (a, b), squares (a,) and (b,): (a, b)


class _ByRows:
    """What follows from ``between``, the similarities (a, b) of some places, or a slice, and others, a fresh array."""

    batch = 32
    between: Callable[[np.ndarray | slice, np.ndarray | slice], np.ndarray]

    def __len__(self) -> int:
        raise NotImplementedError

    def rows(self, places: np.ndarray, columns: slice = slice(None)) -> np.ndarray:
        return self.between(places, columns)

    def column_sums(self) -> np.ndarray:
        n = len(self)
        return np.concatenate([self.rows(block).sum(axis=1) for block in blocks(np.arange(n), n)])

    def sum_of_rows(self) -> SumOfRows:
        return SumOfRows(self)


class OfProducts(_ByRows):
    """A kernel of features that is a form of their inner products and squared norms.

    Args:
        vectors: (m, d) float64.
        form: (products (a, b), which it may write over; squares (a,); squares (b,)) -> similarities (a, b).
        own: (squares (m,)) -> the similarities (m,) of each to itself.
    """

    def __init__(self, vectors: np.ndarray, form: Form, own: Callable[[np.ndarray], np.ndarray]) -> None:
        self._vectors, self._squares, self._form = vectors, squared_norms(vectors), form
        self._own = own(self._squares)
        self._resident = products.resident_rows(vectors)
        self.width = vectors.shape[1], 1

    def __len__(self) -> int:
        return len(self._vectors)

    def rows(self, places: np.ndarray, columns: slice = slice(None)) -> np.ndarray:
        found = self._resident.products(self._vectors[places], columns)
        return self._form(found, self._squares[places], self._squares[columns])

    def between(self, places: np.ndarray | slice, others: np.ndarray | slice) -> np.ndarray:
        """The similarities (a, b) of some places and others, computed on the host."""
        found = np.matmul(self._vectors[places], self._vectors[others].T)
        return self._form(found, self._squares[places], self._squares[others])

    def diagonal(self) -> np.ndarray:
        return self._own


def squared_cosine(vectors: np.ndarray) -> OfProducts:
    """s_ij = cos(x_i, x_j)^2, in [0, 1], of vectors (m, d) float64, which are written over; 0 with a row of zeros."""
    return OfProducts(unit_length(vectors), lambda found, *_: np.square(np.clip(found, -1, 1, out=found), out=found),
                      own=lambda squares: np.where(squares > 0, 1.0, 0.0))


def squared_correlation(vectors: np.ndarray) -> OfProducts:
    """s_ij = r_ij^2, in [0, 1], Pearson's correlation of the numbers of x_i and of x_j; 0 with a constant row."""
    sizes = np.abs(vectors).max(axis=1, keepdims=True)
    vectors -= vectors.mean(axis=1, keepdims=True)
    vectors[np.abs(vectors).max(axis=1) <= 1e-12 * sizes[:, 0]] = 0  # what rounding leaves of a constant row
    return squared_cosine(vectors)


def dot(vectors: np.ndarray, signed: bool) -> OfProducts:
    """s_ij = <x_i, x_j>; raises ``MsCoresetError`` where one is below 0, unless ``signed``."""
    def form(found: np.ndarray, *_: np.ndarray) -> np.ndarray:
        return found if signed else _not_negative(found, "dot")

    return OfProducts(vectors, form, own=np.copy)


def euclidean(vectors: np.ndarray) -> OfProducts:
    """s_ij = max_kl d_kl^2 - d_ij^2, d the Euclidean distances of vectors (m, d), which are written over."""
    vectors -= vectors.mean(axis=0)
    apart = OfProducts(vectors, squares_from_products, own=np.zeros_like)
    farthest = max(of_upper_half(apart, lambda rows, columns, tile: float(tile.max())))

    def form(found: np.ndarray, squares: np.ndarray, others: np.ndarray) -> np.ndarray:
        apart = squares_from_products(found, squares, others)
        return np.maximum(np.subtract(farthest, apart, out=apart), 0, out=apart)

    return OfProducts(vectors, form, own=lambda squares: np.full(len(squares), farthest))


def rbf(vectors: np.ndarray, gamma: float) -> OfProducts:
    """s_ij = exp(-gamma d_ij^2), d the Euclidean distances of vectors (m, d), which are written over."""
    vectors -= vectors.mean(axis=0)

    def form(found: np.ndarray, squares: np.ndarray, others: np.ndarray) -> np.ndarray:
        apart = squares_from_products(found, squares, others)
        apart *= -gamma
        return np.exp(apart, out=apart)

    return OfProducts(vectors, form, own=np.ones_like)


class OfFunction(_ByRows):
    """The similarities that a function of the user's gives to features (m, d).

    Args:
        function: (rows (a, d), rows (b, d)) -> similarities (a, b), the same as those of (b, a) turned round.
        features: (m, d), in the type that they were given in.
        signed: whether similarities may be below 0.

    Raises:
        MsCoresetError: if the function is not symmetric, or does not give such an array of finite numbers.
    """

    def __init__(self, function: Kernel, features: np.ndarray, signed: bool) -> None:
        self._function, self._features, self._signed = function, features, signed
        self.width = features.shape[1], 1
        some = np.arange(min(len(features), 64))
        found = self.between(some, some)
        if not np.allclose(found, found.T, rtol=1e-6, atol=1e-6 * np.abs(found).max()):
            raise MsCoresetError(f"kernel {name_of(function)} must be symmetric: it gives two samples another number "
                                 "the other way round")

    def __len__(self) -> int:
        return len(self._features)

    def between(self, places: np.ndarray | slice, others: np.ndarray | slice) -> np.ndarray:
        left, right = self._features[places], self._features[others]
        found = np.array(self._function(left, right), np.float64)
        if found.shape != (len(left), len(right)) or not np.isfinite(found).all():
            raise MsCoresetError(f"kernel {name_of(self._function)} must give finite numbers of shape "
                                 f"({len(left)}, {len(right)}) for as many rows, got {found.shape}")
        return found if self._signed else _not_negative(found, name_of(self._function))

    def diagonal(self) -> np.ndarray:
        n = len(self)
        return np.array([self.between(slice(i, i + 1), slice(i, i + 1))[0, 0] for i in range(n)])


class Given(_ByRows):
    """Similarities that are given: those of some places (m,) of a matrix (n, n), dense, memory-mapped or sparse."""

    width = 0, 0

    def __init__(self, matrix: Any, places: np.ndarray) -> None:
        whole = len(places) == matrix.shape[0]
        self._matrix = matrix if whole else among(matrix, places) if is_sparse(matrix) else matrix
        self._places = None if whole or is_sparse(matrix) else places
        self._size = len(places)

    def __len__(self) -> int:
        return self._size

    @property
    def is_sparse(self) -> bool:
        """Whether the matrix is a sparse one."""
        return is_sparse(self._matrix)

    def between(self, places: np.ndarray | slice, others: np.ndarray | slice) -> np.ndarray:
        if self.is_sparse:
            return np.asarray(self._matrix[places][:, others].toarray(), np.float64)
        if isinstance(places, slice) or isinstance(others, slice):
            rows, columns = (np.arange(self._size)[some] for some in (places, others))
        else:
            rows, columns = places, others
        if self._places is not None:
            rows, columns = self._places[rows], self._places[columns]
        narrow = as_slice(columns)
        found = self._matrix[rows, narrow] if isinstance(narrow, slice) else self._matrix[np.ix_(rows, columns)]
        return np.array(found, np.float64)

    def column_sums(self) -> np.ndarray:
        if self.is_sparse:
            return np.asarray(self._matrix.sum(axis=0), np.float64).ravel()
        return super().column_sums()

    def diagonal(self) -> np.ndarray:
        if self.is_sparse:
            return np.asarray(self._matrix.diagonal(), np.float64)
        places = np.arange(self._size) if self._places is None else self._places
        return np.asarray(self._matrix[places, places], np.float64)

    def pairs(self) -> Pairs:
        """All pairs of a sparse matrix that are stored."""
        matrix = self._matrix
        elements = np.repeat(np.arange(self._size, dtype=np.int32), np.diff(matrix.indptr))
        return Pairs(elements, matrix.indices.astype(np.int32), matrix.data.astype(np.float64))


def given(matrix: Any, places: np.ndarray) -> Dense | Given:
    """Similarities that are given, of some places; a whole matrix that can serve as it is is not copied."""
    if isinstance(matrix, np.ndarray) and matrix.dtype == np.float64 and len(places) == len(matrix):
        return Dense(np.asarray(matrix.T if matrix.flags.f_contiguous else matrix))
    return Given(matrix, places)


def _not_negative(similarities: np.ndarray, kernel: str) -> np.ndarray:
    """The similarities; raises ``MsCoresetError`` where one is below 0."""
    if similarities.min(initial=0) < 0:
        raise MsCoresetError(f"kernel {kernel} gives a similarity of {similarities.min():.9g}: this set function is of "
                             "similarities of at least 0; take another kernel, such as features")
    return similarities


def name_of(kernel: str | Kernel) -> str:
    """The name of a kernel: a function's is where it is defined."""
    if isinstance(kernel, str):
        return kernel
    return ".".join(filter(None, (getattr(kernel, "__module__", ""), getattr(kernel, "__qualname__", repr(kernel)))))
