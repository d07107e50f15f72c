"""The arithmetic that grows with samples and dimensions, in blocks.

On an accelerator it is MindSpore's; on a CPU it is NumPy's in float64, which multiplies matrices as fast, and does
a small operation in a hundredth of the time. What decides between near candidates is float64 on the host everywhere.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np

from ms_coreset.device import current_device

BLOCK_BYTES = 16 << 20
MEDIAN_THREADS = 2


def _mindspore():
    # Imported when first needed: listing what methods there are must not cost MindSpore's start-up.
    import mindspore

    return mindspore


def on_host():
    """Whether NumPy does the work."""
    return current_device() == "CPU"


def float_type():
    """float64 where the device computes in it, float32 on Ascend."""
    mindspore = _mindspore()
    return mindspore.float32 if current_device() == "Ascend" else mindspore.float64


def blocks(n, row_bytes, block_bytes=None):
    """Slices of at most ``block_bytes`` (``BLOCK_BYTES``) that cover n rows of so many bytes each."""
    step = max(1, int((block_bytes or BLOCK_BYTES) // max(1, row_bytes)))
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]


def side_by_side(work, tasks):
    """``work(*task)`` for each of ``tasks``, on a CPU as many at a time as products of matrices take processors.

    Each product is then left to one: small ones, and what lies between them, are no work for several together.
    """
    if len(tasks) == 1 or not on_host():
        for task in tasks:
            work(*task)
        return
    blas = _blas()
    workers = max((library.num_threads for library in blas.lib_controllers), default=1)
    with blas.limit(limits=1), ThreadPoolExecutor(workers) as threads:
        list(threads.map(lambda task: work(*task), tasks))


@cache
def _blas():
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")


def class_median(block):
    """Per-dimension median (d,) of a class's rows (m, d), in their own precision.

    For an even m the mean of the two middle values, as NumPy's (torch's and MindSpore's own medians give the lower).
    """
    middle = [(len(block) - 1) // 2, len(block) // 2]
    if not on_host():
        mindspore = _mindspore()
        ranked = mindspore.ops.sort(mindspore.Tensor(np.ascontiguousarray(block)), axis=0)[0].asnumpy()
        return (ranked[middle[0]] + ranked[middle[1]]) / 2

    def of_columns(columns):
        # A partition is ten times faster than MindSpore's sort here, and gives the same values; along rows that are
        # contiguous it is faster than down the columns.
        ranked = np.array(block[:, columns].T, order="C")
        ranked.partition(middle, axis=1)
        return (ranked[:, middle[0]] + ranked[:, middle[1]]) / 2

    parts = blocks(block.shape[1], block.itemsize * len(block), BLOCK_BYTES // 4)
    if len(parts) == 1:
        return of_columns(parts[0])
    with ThreadPoolExecutor(MEDIAN_THREADS) as threads:  # NumPy lets go of the interpreter while it partitions
        return np.concatenate(list(threads.map(of_columns, parts)))


def class_mean(block):
    """Per-dimension mean (d,) of a class's rows (m, d), in float64."""
    return np.mean(block, axis=0, dtype=np.float64)


def row_distances(rows, point):
    """Euclidean distances (m,) of rows (m, d) to a point (d,), in ``float_type`` (the host's: float64), as float64."""
    point = np.asarray(point, np.float64)
    parts = blocks(len(rows), 8 * rows.shape[1])
    if on_host():
        return np.sqrt(np.concatenate([squared_norms(np.subtract(rows[part], point)) for part in parts]))
    mindspore = _mindspore()
    target = mindspore.Tensor(point, float_type())
    distances = []
    for part in parts:
        difference = mindspore.Tensor(np.ascontiguousarray(rows[part])).astype(target.dtype) - target
        distances.append((difference * difference).sum(axis=1).sqrt().asnumpy().astype(np.float64))
    return np.concatenate(distances)


def product(left, right):
    """left (a, d) times right (b, d) transposed, (a, b), in ``float_type`` (the host's: float64), as float64."""
    if on_host():
        return np.asarray(left, np.float64) @ np.asarray(right, np.float64).T
    return resident_rows(right).products(left)


class _HostRows:
    """Rows (n, d) on the host, float64; an array that is so already is not copied."""

    def __init__(self, rows):
        self._rows = np.ascontiguousarray(rows, np.float64)

    def products(self, left, columns=slice(None)):
        left = np.asarray(left, np.float64)
        rows = self._rows[columns]
        # A product with one vector is bound by memory, and BLAS has a faster way for it.
        return (rows @ left[0])[None] if len(left) == 1 else left @ rows.T

    def combined(self, weights):
        return np.asarray(weights, np.float64) @ self._rows


class _DeviceRows:
    """Rows (n, d) that stay on the device, in ``float_type``."""

    def __init__(self, rows):
        mindspore = _mindspore()
        self._rows = mindspore.Tensor(np.ascontiguousarray(rows), float_type())
        # ``rows.T`` would copy them for every product: fifty times the cost of the product with one vector.
        self._inner = mindspore.ops.MatMul(transpose_b=True)
        self._sum = mindspore.ops.MatMul()

    def products(self, left, columns=slice(None)):
        return self._multiply(self._inner, left, self._rows if columns == slice(None) else self._rows[columns])

    def combined(self, weights):
        return self._multiply(self._sum, weights, self._rows)

    def _multiply(self, operator, left, right):
        tensor = _mindspore().Tensor(np.ascontiguousarray(left), right.dtype)
        return operator(tensor, right).asnumpy().astype(np.float64)


def resident_rows(rows):
    """Rows (n, d) kept where the arithmetic is done, for one product after another.

    ``products(left, columns=slice)``: left (b, d) times (some of) the rows transposed, (b, n) float64;
    ``combined(weights)``: weights (b, n) times the rows, b weighted sums of them, (b, d) float64
    """
    return _HostRows(rows) if on_host() else _DeviceRows(rows)


class ResidentGradients:
    """``LastLayerGradients`` of n samples kept where the arithmetic is done; a gradient is (C, d + 1), bias first.

    gradients: the same on the host
    """

    def __init__(self, gradients):
        self.gradients = gradients
        self._errors, self._features = resident_rows(gradients.errors), resident_rows(gradients.features)

    def __len__(self):
        return len(self.gradients)

    def gram(self, others, columns=slice(None)):
        """<H_j, G_i> for b other gradients H: (b, n), <h_j, g_i> (1 + <e_j, e_i>)."""
        gram = self._features.products(others.features, columns)
        gram += 1
        gram *= self._errors.products(others.errors, columns)
        return gram

    def mean(self, errors=None):
        """Mean gradient (C, d + 1), P^T [1, E] / n; errors (n, C) stand in for the samples' own."""
        errors = self.gradients.errors if errors is None else errors
        return np.hstack([errors.mean(axis=0)[:, None], self._features.combined(errors.T) / len(self)])

    def projections(self, direction):
        """<G_i, M> for a direction M (C, d + 1): (n,), sum_c g_ic (M_c0 + <M_c1:, e_i>)."""
        along = self._features.products(direction[:, 1:])
        along += direction[:, :1]
        return np.einsum("ic,ci->i", self.gradients.errors, along)

    def projections_of(self, places, direction):
        """<G_i, M> of a few samples, on the host."""
        along = self.gradients.features[places] @ direction[:, 1:].T + direction[:, 0]
        return np.einsum("ic,ic->i", self.gradients.errors[places], along)

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

    Candidates are found in float32, among all rows that its error leaves in question float64 decides.
    """
    search = _NearRows(features)
    # The float32 distances of a block of rows, and a mask of them, are all that is large here.
    for part in blocks(len(features), 6 * len(features)):
        block = np.arange(part.start, part.stop)
        yield block, search.nearest(block, k, exclude_self)


class _NearRows:
    """Rows (n, d), for the nearest of them to some of them.

    Equal distances (duplicates) come out of sums in another order unequal by rounding, so that squared distances are
    counted in units of 1e-12 of the largest squared norm: beyond it they mean nothing.
    """

    def __init__(self, features):
        # Centred, a distance loses less to cancellation; scaled by a power of two, which is exact, squares stay within
        # float32's range.
        self._rows = np.subtract(features, np.mean(features, axis=0, dtype=np.float64))
        self._rows *= 2.0 ** -np.frexp(max(self._rows.max(), -self._rows.min()))[1]
        self._norms = squared_norms(self._rows)
        self._unit = max(self._norms.max(), np.finfo(float).tiny) * 1e-12
        self._quick = QuickProducts(self._rows.astype(np.float32))

    def nearest(self, block, k, exclude_self):
        """Places (b, k), ascending, of the k nearest rows to the rows of ``block``."""
        squares, error = self._quick_squares(block)
        if exclude_self:
            squares[np.arange(len(block)), block] = np.inf
        wanted = k if exclude_self else k + 1
        bound = _bound_of_smallest(squares, wanted)
        near, place = np.nonzero(squares <= (bound + error).astype(np.float32)[:, None])
        chosen = _first_of_each(len(block), wanted, near, place, self._exact_squares(block[near], place))
        return np.sort(chosen[:, wanted - k:], axis=1)

    def _quick_squares(self, block):
        """Squared distances (b, n) in float32, and how far (b,) two of a row may be off together."""
        squares, error = self._quick.of_rows(block)
        norms = self._norms.astype(np.float32)
        squares *= -2
        squares += norms
        squares += norms[block, None]
        largest = np.sqrt(self._norms.max())
        lengths = np.sqrt(self._norms[block])
        return squares, 4 * error * lengths * largest + 2.0**-20 * (lengths + largest)**2 + self._unit

    def _exact_squares(self, left, right):
        squares = np.empty(len(left))
        for part in blocks(len(left), 24 * self._rows.shape[1], BLOCK_BYTES // 8):
            one, other = left[part], right[part]
            products = np.einsum("ij,ij->i", self._rows[one], self._rows[other])
            squares[part] = self._norms[one] + self._norms[other] - 2 * products
        return np.rint(squares / self._unit)


def smallest_places(values, k, unit):
    """Places (b, k), ascending, of the k smallest of each row of values (b, n), counted in units of ``unit``, which
    rounding does not reach; of equal ones the lowest places."""
    bound = _bound_of_smallest(values, k)
    near, place = np.nonzero(values <= (bound + unit)[:, None])
    return np.sort(_first_of_each(len(values), k, near, place, np.rint(values[near, place] / unit)), axis=1)


def _first_of_each(b, k, near, place, value):
    """(b, k): of the candidates ``place`` of each row, of which ``near`` tells the row, those of the least value."""
    order = np.lexsort((place, value, near))
    first = np.searchsorted(near, np.arange(b))  # np.nonzero goes by rows, and so does the order
    return place[order[first[:, None] + np.arange(k)]]


def _bound_of_smallest(values, k):
    """(b,): at least the k-th smallest of each row of values (b, n), and near it.

    The k-th smallest of the minima of groups of columns: k columns at least are no larger, and few more.
    """
    groups = max(k, 8 * k)
    if values.shape[1] < 2 * groups:
        return np.partition(values, k - 1, axis=1)[:, k - 1]
    rest = values.shape[1] % groups
    minima = values[:, rest:].reshape(len(values), -1, groups).min(axis=1)
    return np.partition(minima, k - 1, axis=1)[:, k - 1]


class QuickProducts:
    """Inner products of rows (n, d) with one another and with vectors in float32, or in the rows' own float64.

    With a bound on their error relative to the product of the norms, so that float64 may decide where they can't.
    """

    def __init__(self, rows):
        rows = rows if rows.dtype in (np.float32, np.float64) else rows.astype(np.float32)
        self._rows = np.ascontiguousarray(rows)
        precision = np.finfo(rows.dtype if on_host() else np.float32).eps
        # Accelerators may round the factors to 10 bits.
        self._error = float((rows.shape[1] + 4) * precision + (0 if on_host() else 2.0**-9))
        self._device = None if on_host() else _mindspore().Tensor(self._rows, _mindspore().float32)

    def of_rows(self, places):
        """(b, n) products of some rows with all, and the relative error."""
        return self._products(self._rows[places]), self._error

    def of_vector(self, vector):
        """(n,) float64 products of all rows with a vector (d,), and the relative error."""
        return self._products(np.asarray(vector, self._rows.dtype)[None])[0].astype(np.float64), self._error

    def _products(self, left):
        if self._device is None:
            return (self._rows @ left[0])[None] if len(left) == 1 else left @ self._rows.T
        mindspore = _mindspore()
        multiply = mindspore.ops.MatMul(transpose_b=True)
        return multiply(mindspore.Tensor(left, mindspore.float32), self._device).asnumpy()


SMALLEST_DISTANCE = 1e-6
_TIES = 1e-9  # more than ``rules.TIE``, of squared distances
EQUAL = 1e-13  # of two squared norms: what rounding leaves of the squared distance between equal rows is less


class Points:
    """Rows (n, d), for Euclidean distances between them; see ``distances_from_products``."""

    def __init__(self, rows):
        self._rows = rows
        self._squares = squared_norms(rows)
        self._lengths = np.sqrt(self._squares)

    def __len__(self):
        return len(self._rows)

    def among(self, places):
        """The points at some places."""
        return Points(np.asarray(self._rows[places], np.float64))

    def to_nearest(self, centres):
        """(n,) float64 distances to the nearest of the points at ``centres``."""
        resident = resident_rows(self._rows[centres])
        others = self._squares[centres]
        width = self._rows.shape[1] + 2 * len(centres)
        return np.concatenate([self._nearest_in(part, resident, others)
                               for part in blocks(len(self), 8 * width)])

    def distances_from(self, target, places):
        """(m,) float64 distances of the points at some places from a target (d,), from differences."""
        distances = [np.sqrt(squared_norms(self._rows[places[part]] - target))
                     for part in blocks(len(places), 8 * len(target))]
        return np.maximum(np.concatenate(distances), SMALLEST_DISTANCE)

    def candidates(self, quick, target, sign, among):
        """Places, ascending, that may be the nearest to a target (d,) (sign -1), or the farthest (sign 1).

        All of the mask ``among`` (n,) that the error of ``quick``, a ``QuickProducts`` of these rows, leaves in
        question.
        """
        products, error = quick.of_vector(target)
        length = np.linalg.norm(target)
        # Squared distances but for the target's own square, and what their ranks are uncertain by, ties included.
        values = sign * (self._squares - 2 * products)
        doubt = 2 * error * length * self._lengths + _TIES * (length + self._lengths)**2
        surest = np.where(among, values - doubt, -np.inf).max()
        # Not-greater, so that what overflowed to no number is a candidate.
        return np.flatnonzero(among & ~(values + doubt < surest))

    def _nearest_in(self, part, resident, others):
        products = resident.products(self._rows[part])
        return distances_from_products(products, self._squares[part], others).min(axis=1)

    def distances_to(self, place):
        """(n,) float64 distances to the point at ``place``."""
        products = np.asarray(self._rows, np.float64) @ np.asarray(self._rows[place], np.float64)
        return distances_from_products(products[None], self._squares[[place]], self._squares)[0]


class Distributions:
    """Discrete distributions (n, C), for the symmetric divergences between them.

    D(p, q) = 0.5 sum_c (p_c - q_c) (log p_c - log q_c), at least 0. Written as a difference because its two halves, as
    products, cancel where p and q are alike.
    """

    def __init__(self, log_probabilities, host=None):
        arrays = (np.ascontiguousarray(log_probabilities, np.float64), np.exp(log_probabilities))
        if not (on_host() if host is None else host):
            arrays = [_mindspore().Tensor(array, float_type()) for array in arrays]
        self._logs, self._probabilities = arrays

    def __len__(self):
        return len(self._logs)

    def among(self, places):
        """The distributions at some places, on the host."""
        logs = self._logs if isinstance(self._logs, np.ndarray) else self._logs.asnumpy()
        return Distributions(logs[places], host=True)

    def to_nearest(self, centres):
        """(n,) divergences to the nearest of the distributions at ``centres``."""
        nearest = np.full(len(self), np.inf)
        # On the host as many at a time as stay in the cache for all centres.
        host = isinstance(self._logs, np.ndarray)
        parts = blocks(len(self), 8 * self._logs.shape[1], BLOCK_BYTES // 64) if host else [slice(0, len(self))]
        for part in parts:
            for centre in map(int, centres):
                np.minimum(nearest[part], self._divergences(part, centre), out=nearest[part])
        return nearest

    def distances_to(self, place):
        """(n,) float64 divergences from the distribution at ``place``."""
        return self._divergences(slice(None), int(place))

    def _divergences(self, part, place):
        gaps = self._probabilities[part] - self._probabilities[place], self._logs[part] - self._logs[place]
        if isinstance(gaps[0], np.ndarray):
            return 0.5 * np.einsum("ic,ic->i", *gaps)
        return 0.5 * (gaps[0] * gaps[1]).sum(axis=1).asnumpy().astype(np.float64)


def squared_norms(rows):
    """(n,) float64, ||row||^2 of rows (n, d)."""
    if rows.dtype == np.float64:
        return np.einsum("ij,ij->i", rows, rows)
    squares = np.empty(len(rows))
    for part in blocks(len(rows), 8 * rows.shape[1], BLOCK_BYTES // 16):
        squares[part] = squared_norms(np.asarray(rows[part], np.float64))
    return squares


def distances_from_products(products, squares, others):
    """Euclidean distances (a, b): sqrt(max(||x||^2 + ||y||^2 - 2 <x, y>, 1e-12)), written over the products.

    products: (a, b), the <x_i, y_j>; squares: (a,), the ||x_i||^2; others: (b,), the ||y_j||^2

    Where the difference is no more than rounding can leave of equal rows (``EQUAL``), they count as equal: whether
    duplicates tie must not hang on how a device adds up.
    """
    squared = products
    squared *= -2
    squared += squares[:, None]
    squared += others
    # Few entries are as small as rounding: only those are compared with their own scale.
    small = np.nonzero(squared <= EQUAL * (squares.max(initial=0) + others.max(initial=0)))
    squared[small] = np.where(squared[small] <= EQUAL * (squares[small[0]] + others[small[1]]), 0, squared[small])
    np.maximum(squared, SMALLEST_DISTANCE**2, out=squared)
    return np.sqrt(squared, out=squared)
