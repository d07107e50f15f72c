"""Similarities of the samples of a pool, row by row: none of them holds an n x n matrix unless ``held`` makes it.

Each has ``len``, and ``rows(places)``, the similarities (m, n) float64 of m places to all, a fresh array. Those that
graph cut and log determinant use have ``column_sums()`` and ``diagonal()``, (n,), too.
"""

import numpy as np

from ms_coreset.selectors import kernels

BLOCK_BYTES = 16 << 20
NEARNESS_MARGIN = 1e-3


def blocks(places, n):
    """``places`` in parts whose rows of n take no more than ``BLOCK_BYTES``."""
    step = max(1, BLOCK_BYTES // (8 * n))
    return [places[start:start + step] for start in range(0, len(places), step)]


def held(similarities, memory):
    """The similarities, each as a matrix made once, if all these take no more than ``memory`` bytes; else as given."""
    needed = 8 * sum(len(similarity)**2 for similarity in similarities)
    return [_dense(similarity) for similarity in similarities] if needed <= memory else similarities


def _dense(similarity):
    n = len(similarity)
    matrix = np.empty((n, n))
    for block in blocks(np.arange(n), n):
        matrix[block] = similarity.rows(block)
    return Dense(matrix)


class Dense:
    """A symmetric matrix (n, n)."""

    def __init__(self, matrix):
        self._matrix = matrix

    def __len__(self):
        return len(self._matrix)

    def rows(self, places):
        return self._matrix[places]

    def column_sums(self):
        return self._matrix.sum(axis=0)

    def diagonal(self):
        return np.diag(self._matrix).copy()


class Cosine:
    """s_ij = 0.5 + 0.5 cos(x_i, x_j), in [0, 1], of vectors x_i = vec(l_i r_i^T); a zero vector has cos 0 with all.

    The cosine of such vectors is that of the l times that of the r, so that last-layer gradients, l_i = g_i and
    r_i = [1 ; e_i], need never be written out. Plain vectors are the case l_i = 1.
    """

    def __init__(self, left, right):
        self._left, self._right = _unit(left), _unit(right)
        self._resident = [kernels.ResidentRows(factor) for factor in (self._left, self._right)]

    @classmethod
    def of_features(cls, features):
        """Of features (n, d)."""
        return cls(np.ones((len(features), 1)), features)

    @classmethod
    def of_gradients(cls, gradients):
        """Of ``LastLayerGradients``."""
        return cls(gradients.errors, np.column_stack([np.ones(len(gradients)), gradients.features]))

    def __len__(self):
        return len(self._left)

    def rows(self, places):
        left, right = self._resident
        cosines = left.products(self._left[places]) * right.products(self._right[places])
        return 0.5 + 0.5 * np.clip(cosines, -1, 1, out=cosines)

    def column_sums(self):
        """sum_i s_ij from the sum of all l_i r_i^T: n C d operations, not n^2."""
        total = kernels.product(self._left.T, self._right.T)
        return 0.5 * len(self) + 0.5 * (kernels.product(self._right, total) * self._left).sum(axis=1)

    def diagonal(self):
        """Exactly 1, or 0.5 of a zero vector: log determinant's first pick is a tie that rounding must not break."""
        nonzero = self._left.any(axis=1) & self._right.any(axis=1)
        return np.where(nonzero, 1.0, 0.5)


def _unit(rows):
    rows = np.asarray(rows, np.float64)
    norms = np.sqrt(kernels.squared_norms(rows))[:, None]
    return np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)


class GradientDistance:
    """d_ij = ||G_i - G_j|| of ``LastLayerGradients``, at least 1e-6; see ``kernels.distances_from_products``."""

    def __init__(self, gradients):
        self._resident = kernels.ResidentGradients(gradients)
        self._squares = gradients.squared_norms()

    def __len__(self):
        return len(self._resident)

    def rows(self, places):
        gram = self._resident.gram(self._resident.gradients.take(places))
        return kernels.distances_from_products(gram, self._squares[places], self._squares)


class Nearness:
    """s_ij = max_kl d_kl - d_ij + 1e-3 of distances d, so that the smallest similarity is 1e-3 (CRAIG)."""

    def __init__(self, distances):
        self._distances = distances
        n = len(distances)
        self._top = NEARNESS_MARGIN + max(distances.rows(block).max() for block in blocks(np.arange(n), n))

    def __len__(self):
        return len(self._distances)

    def rows(self, places):
        return self._top - self._distances.rows(places)
