"""The arithmetic that grows with samples and dimensions, in blocks, in MindSpore on the chosen device."""

import numpy as np

from ms_coreset.device import current_device

BLOCK_BYTES = 64 << 20


def _mindspore():
    # Imported when first needed: listing what methods there are must not cost MindSpore's start-up.
    import mindspore

    return mindspore


def float_type():
    """float64 where the device computes in it, float32 on Ascend."""
    mindspore = _mindspore()
    return mindspore.float32 if current_device() == "Ascend" else mindspore.float64


def class_median(block):
    """Per-dimension median (d,) of a class's rows (m, d), in their own precision.

    For an even m the mean of the two middle values, as NumPy's (torch's and MindSpore's own medians give the lower).
    """
    middle = [(len(block) - 1) // 2, len(block) // 2]
    if current_device() == "CPU":
        # A partition is ten times faster than MindSpore's sort here, and gives the same values.
        ranked = np.partition(block, middle, axis=0)
    else:
        mindspore = _mindspore()
        ranked = mindspore.ops.sort(mindspore.Tensor(block), axis=0)[0].asnumpy()
    return (ranked[middle[0]] + ranked[middle[1]]) / 2


def class_mean(block):
    """Per-dimension mean (d,) of a class's rows (m, d), in float64."""
    return np.mean(block, axis=0, dtype=np.float64)


def row_distances(rows, point):
    """Euclidean distances (m,) of rows (m, d) to a point (d,), in ``float_type``, as float64."""
    mindspore = _mindspore()
    dtype = float_type()
    target = mindspore.Tensor(point, dtype)
    step = max(1, BLOCK_BYTES // (8 * rows.shape[1]))
    parts = []
    for start in range(0, len(rows), step):
        difference = mindspore.Tensor(np.ascontiguousarray(rows[start:start + step])).astype(dtype) - target
        parts.append((difference * difference).sum(axis=1).sqrt().asnumpy().astype(np.float64))
    return np.concatenate(parts)


def product(left, right):
    """left (a, d) times right (b, d) transposed, (a, b), in ``float_type``, as float64."""
    mindspore = _mindspore()
    dtype = float_type()
    tensors = [mindspore.Tensor(np.ascontiguousarray(rows), dtype) for rows in (left, right)]
    return mindspore.ops.matmul(tensors[0], tensors[1].T).asnumpy().astype(np.float64)


def gradient_gram(left, right):
    """<G_i, G_j> of two sets of ``LastLayerGradients``: (a, b) float64, (P P^T) * (1 + E E^T)."""
    return product(left.errors, right.errors) * (1 + product(left.features, right.features))


class ResidentRows:
    """Rows (n, d) that stay on the device, in ``float_type``, for one product after another."""

    def __init__(self, rows):
        mindspore = _mindspore()
        self._rows = mindspore.Tensor(np.ascontiguousarray(rows), float_type())
        # ``rows.T`` would copy them for every product: fifty times the cost of the product with one vector.
        self._inner = mindspore.ops.MatMul(transpose_b=True)
        self._sum = mindspore.ops.MatMul()

    def products(self, left):
        """left (b, d) times the rows transposed: (b, n) float64."""
        return self._multiply(self._inner, left)

    def combined(self, weights):
        """weights (b, n) times the rows, b weighted sums of them: (b, d) float64."""
        return self._multiply(self._sum, weights)

    def _multiply(self, operator, left):
        tensor = _mindspore().Tensor(np.ascontiguousarray(left), self._rows.dtype)
        return operator(tensor, self._rows).asnumpy().astype(np.float64)


class ResidentGradients:
    """``LastLayerGradients`` of n samples that stay on the device; a gradient is (C, d + 1) numbers, bias first.

    gradients: the same on the host
    """

    def __init__(self, gradients):
        self.gradients = gradients
        self._errors, self._features = ResidentRows(gradients.errors), ResidentRows(gradients.features)

    def __len__(self):
        return len(self.gradients)

    def gram(self, others):
        """<H_j, G_i> for b other gradients H: (b, n), <h_j, g_i> (1 + <e_j, e_i>)."""
        return self._errors.products(others.errors) * (1 + self._features.products(others.features))

    def mean(self, errors=None):
        """Mean gradient (C, d + 1), P^T [1, E] / n; errors (n, C) stand in for the samples' own."""
        errors = self.gradients.errors if errors is None else errors
        return np.hstack([errors.mean(axis=0)[:, None], self._features.combined(errors.T) / len(self)])

    def projections(self, direction):
        """<G_i, M> for a direction M (C, d + 1): (n,), sum_c g_ic (M_c0 + <M_c1:, e_i>)."""
        along = direction[:, :1] + self._features.products(direction[:, 1:])
        return (self.gradients.errors * along.T).sum(axis=1)

    def logit_shift(self, others):
        """What a step along the summed gradients of others does to these samples' logits: (n, C).

        sum_j h_j (1 + <e_j, e_i>); descent with rate eta subtracts eta times it.
        """
        return (1 + self._features.products(others.features)).T @ others.errors


def neighbour_blocks(features, k, exclude_self=True):
    """The k nearest rows to each row of features (n, d), by Euclidean distance; yields (rows, (b, k) neighbours).

    A block of rows at a time, so that no n x n matrix arises; the neighbours are in ascending order of place, and
    of equally near ones the lowest places are taken. exclude_self: leave out the row itself; otherwise the first of
    the nearest, which may be a duplicate of it. k is at most n - 1.
    """
    # Centred, a distance loses less to cancellation.
    rows = np.asarray(features, np.float64) - np.mean(features, axis=0, dtype=np.float64)
    norms = (rows**2).sum(axis=1)
    resident = ResidentRows(rows)
    # Equal distances (duplicates) come out of the product unequal by rounding: beyond this unit it means nothing.
    unit = max(norms.max(), np.finfo(float).tiny) * 1e-12
    step = max(1, BLOCK_BYTES // (8 * len(rows)))
    for start in range(0, len(rows), step):
        block = np.arange(start, min(start + step, len(rows)))
        squares = np.rint((norms[block, None] + norms - 2 * resident.products(rows[block])) / unit)
        left_out = block if exclude_self else squares.argmin(axis=1)
        squares[np.arange(len(block)), left_out] = np.inf
        yield block, _smallest(squares, k)


def _smallest(values, k):
    """Places (b, k), ascending, of the k smallest of each row; of equal ones the lowest places."""
    bound = np.partition(values, k - 1, axis=1)[:, k - 1:k]
    chosen, tied = values < bound, values == bound
    missing = k - chosen.sum(axis=1, keepdims=True)
    chosen |= tied & (np.cumsum(tied, axis=1, dtype=np.int32) <= missing)
    return np.nonzero(chosen)[1].reshape(len(values), k)


SMALLEST_DISTANCE = 1e-6
EQUAL = 1e-13  # of two squared norms: what rounding leaves of the squared distance between equal rows is less


class Points:
    """Rows (n, d) kept on the device, for their Euclidean distances to one point after another."""

    def __init__(self, rows):
        self._resident = ResidentRows(rows)
        self._squares = squared_norms(rows)

    def distances_to(self, point):
        """(n,) float64 distances to a point (d,), see ``distances_from_products``."""
        point = np.asarray(point, np.float64)[None]
        return distances_from_products(self._resident.products(point), squared_norms(point), self._squares)[0]


class Distributions:
    """Discrete distributions (n, C) kept on the device, for their symmetric divergences from one after another."""

    def __init__(self, log_probabilities):
        mindspore = _mindspore()
        self._logs = mindspore.Tensor(np.ascontiguousarray(log_probabilities), float_type())
        self._probabilities = mindspore.ops.exp(self._logs)

    def divergences_from(self, place):
        """(n,) float64, at least 0: 0.5 sum_c (p_c - q_c) (log p_c - log q_c), q the distribution at ``place``.

        Written as a difference because its two halves, as products, cancel where p and q are alike.
        """
        place = int(place)
        gaps = (self._probabilities - self._probabilities[place]) * (self._logs - self._logs[place])
        return 0.5 * gaps.sum(axis=1).asnumpy().astype(np.float64)


def squared_norms(rows):
    """(n,) float64, ||row||^2 of rows (n, d)."""
    rows = np.asarray(rows, np.float64)
    return np.einsum("ij,ij->i", rows, rows)


def distances_from_products(products, squares, others):
    """Euclidean distances (a, b): sqrt(max(||x||^2 + ||y||^2 - 2 <x, y>, 1e-12)).

    products: (a, b), the <x_i, y_j>; squares: (a,), the ||x_i||^2; others: (b,), the ||y_j||^2

    Where the difference is no more than rounding can leave of equal rows (``EQUAL``), they count as equal: whether
    duplicates tie must not hang on how a device adds up.
    """
    scale = squares[:, None] + others
    squared = scale - 2 * products
    squared[squared <= EQUAL * scale] = 0
    return np.sqrt(np.maximum(squared, SMALLEST_DISTANCE**2))
