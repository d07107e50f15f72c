"""The arithmetic that grows with samples and dimensions, in blocks.

On an accelerator it is MindSpore's; on a CPU it is NumPy's in float64, which multiplies matrices as fast, and does
a small operation in a hundredth of the time. What decides between near candidates is float64 on the host everywhere.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ContextDecorator, contextmanager
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ms_coreset.device import current_device
from ms_coreset.evidence import take

if TYPE_CHECKING:
    from mindspore import Tensor
    from threadpoolctl import ThreadpoolController

    from ms_coreset.evidence import LastLayerGradients

BLOCK_BYTES = 16 << 20
MEDIAN_THREADS = 2
ALONE = 1 << 24  # multiplications of numbers that are left to one thread
NARROWEST = 256  # columns of a product that are left to one thread
GRAM_STRIP = 256  # columns


def _mindspore() -> Any:
    # Imported when first needed: listing what methods there are must not cost MindSpore's start-up.
    import mindspore

    return mindspore


def on_host() -> bool:
    """Whether NumPy does the work."""
    return getattr(_here, "host", False) or current_device() == "CPU"


@contextmanager
def host_alone() -> Iterator[None]:
    """Let NumPy do this thread's work within the block whatever device there is: what float32 would spoil."""
    former, _here.host = getattr(_here, "host", False), True
    try:
        yield
    finally:
        _here.host = former


def float_type() -> type[np.floating]:
    """NumPy's float64 where the device computes in it, float32 on Ascend."""
    return np.float32 if current_device() == "Ascend" else np.float64


def blocks(n: int, row_bytes: int, block_bytes: int | None = None) -> list[slice]:
    """Slices of at most ``block_bytes`` (``BLOCK_BYTES``) that cover n rows of so many bytes each."""
    step = max(1, int((block_bytes or BLOCK_BYTES) // max(1, row_bytes)))
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]


class _OneBlasThread(ContextDecorator):
    """Within it, or a function that it decorates, BLAS takes one thread, whoever else is within, too.

    BLAS cuts a product up for the threads that there are, and sums it up in another order, of which the last bit
    hangs. Large products are cut up here (``multiply``), by their size alone, so that as many processors work.

    threads: how many BLAS took outside
    """

    def __init__(self) -> None:
        self._lock, self._within, self.threads = threading.Lock(), 0, 1

    def __enter__(self) -> None:
        with self._lock:
            if not self._within:
                self.threads = max((library.num_threads for library in _blas().lib_controllers), default=1)
                self._limit = _blas().limit(limits=1)
            self._within += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._within -= 1
            if not self._within:
                self._limit.restore_original_limits()


one_blas_thread = _OneBlasThread()
_here = threading.local()  # worker: whether this thread is one of ``in_threads``'s; host: whether NumPy does its work


@cache
def _blas() -> ThreadpoolController:
    import scipy.linalg  # noqa: F401  has a BLAS of its own, which has to be loaded to be found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")


def side_by_side(work: Callable[..., object], tasks: Sequence[tuple]) -> None:
    """``work(*task)`` for each of ``tasks``, on a CPU as many at a time as BLAS takes threads outside.

    Each product is then left to one: small ones, and what lies between them, are no work for several together.
    """
    if len(tasks) == 1 or not on_host() or getattr(_here, "worker", False):
        for task in tasks:
            work(*task)
    else:
        in_threads(work, tasks)


def in_threads(work: Callable[..., object], tasks: Sequence[tuple]) -> None:
    """As ``side_by_side``, on the host's processors whatever device computes the rest."""
    with one_blas_thread, ThreadPoolExecutor(one_blas_thread.threads, initializer=_become_worker) as threads:
        list(threads.map(lambda task: work(*task), tasks))


def _become_worker() -> None:
    _here.worker = _here.host = True


def multiply(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """left (a, m) times right (m, b) on the host, float32 or float64: the same bytes on any number of threads.

    A large product is cut up by columns, in parts that hang on its size alone.
    """
    width = max(NARROWEST, ALONE // max(1, left.size))
    if right.shape[1] <= width:
        return left @ right
    products = np.empty((len(left), right.shape[1]), np.result_type(left, right))

    def of_columns(part: slice) -> None:
        np.matmul(left, right[:, part], out=products[:, part])

    side_by_side(of_columns, [(part,) for part in blocks(right.shape[1], 1, width)])
    return products


def in_metric(rows: np.ndarray, metric: str) -> np.ndarray:
    """Rows (m, d) whose Euclidean distances are those of ``metric``: as they are, or "cosine": at length 1, float64.

    Of two rows at length 1, ||u - v||^2 = 2 (1 - cos). A row of zeros, which has no direction, stays. Coordinates are
    rounded to 40 binary places, so that rows of one direction are equal.
    """
    if metric == "euclidean":
        return rows
    unit = np.array(rows, np.float64)
    for part in blocks(len(unit), unit.itemsize * unit.shape[1]):
        unit[part] /= np.maximum(np.abs(unit[part]).max(axis=1), np.finfo(float).tiny)[:, None]  # squares stay finite
        lengths = np.sqrt(squared_norms(unit[part]))
        unit[part] *= 2.0**40 / np.where(lengths > 0, lengths, 1)[:, None]
        unit[part] = np.rint(unit[part]) * 2.0**-40
    return unit


def class_median(block: np.ndarray) -> np.ndarray:
    """Per-dimension median (d,) float64 of a class's rows (m, d), numbers of any type.

    For an even m the mean of the two middle values, as NumPy's (torch's and MindSpore's own medians give the lower).
    On the host everywhere: a partition is ten times faster than MindSpore's sort there, and exact, while Ascend sorts
    along the last axis only, in float32.
    """
    middle = [(len(block) - 1) // 2, len(block) // 2]

    def of_columns(columns: slice) -> np.ndarray:
        # Along rows that are contiguous it is faster than down the columns.
        ranked = np.array(block[:, columns].T, block.dtype.newbyteorder("="), order="C")
        ranked.partition(middle, axis=1)
        return ranked[:, middle].astype(np.float64).mean(axis=1)  # in their own type the sum of two overflows

    parts = blocks(block.shape[1], block.itemsize * len(block), BLOCK_BYTES // 4)
    if len(parts) == 1:
        return of_columns(parts[0])
    with ThreadPoolExecutor(MEDIAN_THREADS) as threads:  # NumPy lets go of the interpreter while it partitions
        return np.concatenate(list(threads.map(of_columns, parts)))


def class_mean(block: np.ndarray) -> np.ndarray:
    """Per-dimension mean (d,) float64 of a class's rows (m, d), right to rounding of how far they lie from it.

    Far from the origin the first sum has lost that much: what the rows differ from it by is averaged once more.
    """
    mean = np.mean(block, axis=0, dtype=np.float64)
    rest = sum(np.subtract(block[part], mean).sum(axis=0) for part in blocks(len(block), 8 * block.shape[1]))
    return mean + rest / len(block)


def row_distances(rows: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Euclidean distances (m,) float64 of rows (m, d) to a point (d,), from float64 differences, on the host."""
    return np.sqrt(squared_norms(rows, np.asarray(point, np.float64)))


def product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """left (a, d) times right (b, d) transposed, (a, b), in ``float_type`` (the host's: float64), as float64."""
    if on_host():
        return multiply(np.asarray(left, np.float64), np.asarray(right, np.float64).T)
    return resident_rows(right).products(left)


def gram(rows: np.ndarray) -> np.ndarray:
    """rows (m, d) transposed times themselves, (d, d) float64: half of it is multiplied, the rest mirrors that."""
    rows = np.ascontiguousarray(rows, np.float64)
    if not on_host():
        return product(rows.T, rows.T)
    total = np.empty((rows.shape[1], rows.shape[1]))

    def fill(strip: slice) -> None:
        np.matmul(rows[:, strip].T, rows[:, :strip.stop], out=total[strip, :strip.stop])
        total[:strip.start, strip] = total[strip, :strip.start].T

    with one_blas_thread:
        side_by_side(fill, [(strip,) for strip in blocks(rows.shape[1], 1, GRAM_STRIP)])
    return total


class _HostRows:
    """Rows (n, d) on the host, float64; an array that is so already is not copied."""

    def __init__(self, rows: np.ndarray) -> None:
        self._rows = np.ascontiguousarray(rows, np.float64)

    def products(self, left: np.ndarray, columns: slice = slice(None)) -> np.ndarray:
        return multiply(np.asarray(left, np.float64), self._rows[columns].T)

    def combined(self, weights: np.ndarray) -> np.ndarray:
        return multiply(np.asarray(weights, np.float64), self._rows)


class _DeviceRows:
    """Rows (n, d) that stay on the device, in ``float_type``."""

    def __init__(self, rows: np.ndarray) -> None:
        mindspore = _mindspore()
        self._rows = mindspore.Tensor(np.ascontiguousarray(rows, float_type()))
        # ``rows.T`` would copy them for every product: fifty times the cost of the product with one vector.
        self._inner = mindspore.ops.MatMul(transpose_b=True)
        self._sum = mindspore.ops.MatMul()

    def products(self, left: np.ndarray, columns: slice = slice(None)) -> np.ndarray:
        return self._multiply(self._inner, left, self._rows if columns == slice(None) else self._rows[columns])

    def combined(self, weights: np.ndarray) -> np.ndarray:
        return self._multiply(self._sum, weights, self._rows)

    def _multiply(self, operator: Callable, left: np.ndarray, right: Tensor) -> np.ndarray:
        tensor = _mindspore().Tensor(np.ascontiguousarray(left, np.float64), right.dtype)
        return operator(tensor, right).asnumpy().astype(np.float64)


def resident_rows(rows: np.ndarray) -> _HostRows | _DeviceRows:
    """Rows (n, d) kept where the arithmetic is done, for one product after another.

    ``products(left, columns=slice)``: left (b, d) times (some of) the rows transposed, (b, n) float64;
    ``combined(weights)``: weights (b, n) times the rows, b weighted sums of them, (b, d) float64
    """
    return _HostRows(rows) if on_host() else _DeviceRows(rows)


class ResidentGradients:
    """``LastLayerGradients`` of n samples kept where the arithmetic is done; a gradient is (C, d + 1), bias first.

    gradients: the same on the host
    """

    def __init__(self, gradients: LastLayerGradients) -> None:
        self.gradients = gradients
        self._errors, self._features = resident_rows(gradients.errors), resident_rows(gradients.features)

    def __len__(self) -> int:
        return len(self.gradients)

    def gram(self, others: LastLayerGradients, columns: slice = slice(None)) -> np.ndarray:
        """<H_j, G_i> for b other gradients H: (b, n), <h_j, g_i> (1 + <e_j, e_i>)."""
        gram = self._features.products(others.features, columns)
        gram += 1
        gram *= self._errors.products(others.errors, columns)
        return gram

    def mean(self, errors: np.ndarray | None = None) -> np.ndarray:
        """Mean gradient (C, d + 1), P^T [1, E] / n; errors (n, C) stand in for the samples' own."""
        errors = self.gradients.errors if errors is None else errors
        return np.hstack([errors.mean(axis=0)[:, None], self._features.combined(errors.T) / len(self)])

    def projections(self, direction: np.ndarray) -> np.ndarray:
        """<G_i, M> for a direction M (C, d + 1): (n,), sum_c g_ic (M_c0 + <M_c1:, e_i>)."""
        along = self._features.products(direction[:, 1:])
        along += direction[:, :1]
        return np.einsum("ic,ci->i", self.gradients.errors, along)

    def projections_of(self, places: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """<G_i, M> of a few samples, on the host."""
        return np.concatenate([self._projections_of(places[part], direction)
                               for part in blocks(len(places), 16 * direction.shape[1], BLOCK_BYTES // 8)])

    def _projections_of(self, places: np.ndarray, direction: np.ndarray) -> np.ndarray:
        along = self.gradients.features[places] @ direction[:, 1:].T + direction[:, 0]
        return np.einsum("ic,ic->i", self.gradients.errors[places], along)

    def logit_shift(self, others: LastLayerGradients) -> np.ndarray:
        """What a step along the summed gradients of others does to these samples' logits: (n, C).

        sum_j h_j (1 + <e_j, e_i>); descent with rate eta subtracts eta times it.
        """
        return (1 + self._features.products(others.features)).T @ others.errors


def neighbour_blocks(features: np.ndarray, k: int,
                     exclude_self: bool = True) -> Iterator[tuple[np.ndarray, np.ndarray]]:
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

    Equal distances come out of sums in another order unequal by rounding, so that squared ones are compared by their
    first 12 digits. They are taken from differences: as products, those of near rows that lie far away would cancel.
    """

    def __init__(self, features: np.ndarray) -> None:
        self._given = features
        # Centred, a distance loses less to cancellation; scaled by a power of two, which is exact, squares stay within
        # float32's range.
        centre = class_mean(features)
        farthest = max((features.max(axis=0) - centre).max(), (centre - features.min(axis=0)).max())
        scale = 2.0 ** -np.frexp(farthest)[1]
        rows, self._norms = np.empty(features.shape, np.float32), np.empty(len(features))
        for part in blocks(len(features), 8 * features.shape[1]):
            scaled = np.subtract(features[part], centre)
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
        chosen = _first_of_each(len(block), wanted, near, place, exact)
        return np.sort(chosen[:, wanted - k:], axis=1)

    def _quick_squares(self, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Squared distances (b, n) in float32, and how far (b,) two of a row may be off together."""
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
    """Places (b, k), ascending, of the k smallest of each row of values (b, n), counted in units of ``unit``, which
    rounding does not reach; of equal ones the lowest places."""
    bound = _bound_of_smallest(values, k)
    near, place = np.nonzero(values <= (bound + unit)[:, None])
    return np.sort(_first_of_each(len(values), k, near, place, np.rint(values[near, place] / unit)), axis=1)


def _first_of_each(b: int, k: int, near: np.ndarray, place: np.ndarray, value: np.ndarray) -> np.ndarray:
    """(b, k): of the candidates ``place`` of each row, of which ``near`` tells the row, those of the least value."""
    order = np.lexsort((place, value, near))
    first = np.searchsorted(near, np.arange(b))  # np.nonzero goes by rows, and so does the order
    return place[order[first[:, None] + np.arange(k)]]


def _bound_of_smallest(values: np.ndarray, k: int) -> np.ndarray:
    """(b,): at least the k-th smallest of each row of values (b, n), and near it.

    The k-th smallest of the minima of groups of columns: k columns at least are no larger, and few more.
    """
    groups = max(k, 8 * k)
    if values.shape[1] < 2 * groups:
        return np.partition(values, k - 1, axis=1)[:, k - 1]
    rest = values.shape[1] % groups
    minima = values[:, rest:].reshape(len(values), -1, groups).min(axis=1)
    return np.partition(minima, k - 1, axis=1)[:, k - 1]


def quick_type(kind: np.dtype) -> np.dtype:
    """float32 for numbers that it can hold, float64 for others."""
    return np.dtype(np.float32 if np.can_cast(kind, np.float32) else np.float64)


class QuickProducts:
    """Inner products of rows (n, d) with one another and with vectors in their ``quick_type``.

    Rows of another type are converted for every product, in blocks. With a bound on the error relative to the product
    of the norms, so that float64 may decide where they can't.
    """

    def __init__(self, rows: np.ndarray) -> None:
        self._rows, self._kind = np.ascontiguousarray(rows), quick_type(rows.dtype)
        precision = float(np.finfo(self._kind if on_host() else np.float32).eps)
        # Accelerators may round the factors to 10 bits.
        self._error = float((rows.shape[1] + 4) * precision + (0 if on_host() else 2.0**-9))
        self._device = None if on_host() else _mindspore().Tensor(self._rows, _mindspore().float32)

    def of_rows(self, places: np.ndarray) -> tuple[np.ndarray, float]:
        """(b, n) products of some rows with all, and the relative error."""
        return self._products(take(self._rows, places).astype(self._kind, copy=False)), self._error

    def of_vector(self, vector: np.ndarray) -> tuple[np.ndarray, float]:
        """(n,) float64 products of all rows with a vector (d,), and the relative error."""
        return self._products(np.asarray(vector, self._kind)[None])[0].astype(np.float64), self._error

    def _products(self, left: np.ndarray) -> np.ndarray:
        if self._device is None and self._rows.dtype == self._kind:
            return multiply(left, self._rows.T)
        if self._device is None:
            parts = blocks(len(self._rows), self._kind.itemsize * self._rows.shape[1], BLOCK_BYTES // 8)
            return np.concatenate([multiply(left, self._rows[part].astype(self._kind).T) for part in parts], axis=1)
        mindspore = _mindspore()
        inner = mindspore.ops.MatMul(transpose_b=True)
        return inner(mindspore.Tensor(left, mindspore.float32), self._device).asnumpy()


SMALLEST_DISTANCE = 1e-6
_TIES = 1e-9  # more than ``rules.TIE``, of squared distances
EQUAL = 1e-13  # of two squared norms: what rounding leaves of the squared distance between equal rows is less
CANCELS = 1e-4  # of a squared norm: squared distances below are taken from differences, since products lose digits


class Points:
    """Rows (n, d), for Euclidean distances between them, which are 0 between equal rows.

    Places are counted from the mean of the rows, so that no constant added to all of them decides anything. Distances
    come out of products, and where these cancel out of differences of the rows as given, float64 on the host.
    """

    def __init__(self, rows: np.ndarray) -> None:
        self._rows, self._centre = rows, class_mean(rows)
        self._squares = squared_norms(rows, self._centre)
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

    def centred(self, places: np.ndarray | int | slice) -> np.ndarray:
        """The rows at some places less the mean, float64."""
        return np.subtract(self._rows[places], self._centre)

    def _all_centred(self, places: np.ndarray) -> np.ndarray:
        """``centred`` of many places, without a copy in the rows' own type."""
        rows = np.empty((len(places), self._rows.shape[1]))
        for part in blocks(len(rows), 8 * rows.shape[1], BLOCK_BYTES // 8):
            rows[part] = self.centred(places[part])
        return rows

    def among(self, places: np.ndarray) -> _ListedPoints:
        """The points at some places, kept centred."""
        return _ListedPoints(self._all_centred(places), self._squares[places],
                             lambda some, place: squared_distances(self._rows, places[some], places[place]))

    def to_nearest(self, centres: np.ndarray) -> np.ndarray:
        """(n,) float64 distances to the nearest of the points at ``centres``."""
        resident = resident_rows(self._all_centred(centres))
        width = self._rows.shape[1] + 2 * len(centres)
        return np.sqrt(np.concatenate([self._nearest_in(part, centres, resident)
                                       for part in blocks(len(self), 8 * width)]))

    def _nearest_in(self, part: slice, centres: np.ndarray, resident: _HostRows | _DeviceRows) -> np.ndarray:
        squares = self._squares[part]
        squared = _squares_from_products(resident.products(self.centred(part)), squares, self._squares[centres])
        nearest = squared.min(axis=1)
        close = np.flatnonzero(nearest <= CANCELS * squares)
        if len(close):
            # Of the centres that rounding may have taken for the nearest, that of the least difference is.
            doubt = 8 * (self._rows.shape[1] + 4) * np.finfo(np.float64).eps * squares[close]
            row, column = np.nonzero(squared[close] <= (nearest[close] + 2 * doubt)[:, None])
            exact = squared_distances(self._rows, part.start + close[row], centres[column])
            nearest[close] = np.minimum.reduceat(exact, np.searchsorted(row, np.arange(len(close))))
        return nearest

    def distances_from(self, target: np.ndarray, places: np.ndarray) -> np.ndarray:
        """(m,) float64 distances of the points at some places from a target (d,), counted from the mean."""
        return np.sqrt(np.concatenate([squared_norms(self.centred(places[part]) - target)
                                       for part in blocks(len(places), 8 * len(target))]))

    def candidates(self, quick: QuickProducts, target: np.ndarray, sign: int, among: np.ndarray) -> np.ndarray:
        """Places, ascending, that may be the nearest to a target (d,) (sign -1), or the farthest (sign 1).

        All of the mask ``among`` (n,) that the error of ``quick``, a ``QuickProducts`` of the rows as given, leaves in
        question. The target is counted from the mean.
        """
        products, error = quick.of_vector(target)
        length, size = np.linalg.norm(target), self.size
        # Squared distances but for what all have in common, and what their ranks are uncertain by, ties included.
        values = sign * (self._squares - 2 * products)
        doubt = 2 * error * length * self._given_lengths
        doubt += _TIES * (length + self._lengths + _TIES * size) * (length + self._lengths + size)
        surest = np.where(among, values - doubt, -np.inf).max()
        # Not-greater, so that what overflowed to no number is a candidate.
        return np.flatnonzero(among & ~(values + doubt < surest))


class _ListedPoints:
    """Some of ``Points``: centred rows (m, d) float64 on the host, their squared norms, and the exact way,
    ``between(places, place)`` -> squared distances."""

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
    """||x_i - x_j||^2 of rows (n, d) at places ``left`` (m,) and ``right`` (m,) or one: (m,), from float64
    differences."""
    squares = np.empty(len(left))
    for part in blocks(len(left), 24 * rows.shape[1], BLOCK_BYTES // 8):
        others = right[part] if isinstance(right, np.ndarray) else right
        squares[part] = squared_norms(np.subtract(rows[left[part]], rows[others], dtype=np.float64))
    return squares


class Distributions:
    """Discrete distributions (n, C), for the symmetric divergences between them.

    D(p, q) = 0.5 sum_c (p_c - q_c) (log p_c - log q_c), at least 0. Written as a difference because its two halves, as
    products, cancel where p and q are alike.
    """

    def __init__(self, log_probabilities: np.ndarray, host: bool | None = None) -> None:
        arrays: Sequence[Any] = (np.ascontiguousarray(log_probabilities, np.float64), np.exp(log_probabilities))
        if not (on_host() if host is None else host):
            arrays = [_mindspore().Tensor(array.astype(float_type())) for array in arrays]
        self._logs, self._probabilities = arrays

    def __len__(self) -> int:
        return len(self._logs)

    def among(self, places: np.ndarray) -> Distributions:
        """The distributions at some places, on the host."""
        logs = self._logs if isinstance(self._logs, np.ndarray) else self._logs.asnumpy()
        return Distributions(logs[places], host=True)

    def to_nearest(self, centres: np.ndarray) -> np.ndarray:
        """(n,) divergences to the nearest of the distributions at ``centres``."""
        nearest = np.full(len(self), np.inf)
        # On the host as many at a time as stay in the cache for all centres.
        host = isinstance(self._logs, np.ndarray)
        parts = blocks(len(self), 8 * self._logs.shape[1], BLOCK_BYTES // 64) if host else [slice(0, len(self))]
        for part in parts:
            for centre in map(int, centres):
                np.minimum(nearest[part], self._divergences(part, centre), out=nearest[part])
        return nearest

    def distances_to(self, place: int) -> np.ndarray:
        """(n,) float64 divergences from the distribution at ``place``."""
        return self._divergences(slice(None), int(place))

    def _divergences(self, part: slice, place: int) -> np.ndarray:
        gaps = self._probabilities[part] - self._probabilities[place], self._logs[part] - self._logs[place]
        if isinstance(gaps[0], np.ndarray):
            return 0.5 * np.einsum("ic,ic->i", *gaps)
        return 0.5 * (gaps[0] * gaps[1]).sum(axis=1).asnumpy().astype(np.float64)


def squared_norms(rows: np.ndarray, centre: np.ndarray | None = None) -> np.ndarray:
    """(n,) float64, ||row||^2 of rows (n, d), or ||row - centre||^2 for a centre (d,) float64."""
    if centre is None and rows.dtype == np.float64:
        return np.einsum("ij,ij->i", rows, rows)
    squares = np.empty(len(rows))
    for part in blocks(len(rows), 8 * rows.shape[1], BLOCK_BYTES // 16):
        block = np.asarray(rows[part], np.float64) if centre is None else np.subtract(rows[part], centre)
        squares[part] = np.einsum("ij,ij->i", block, block)
    return squares


def _squares_from_products(products: np.ndarray, squares: np.ndarray, others: np.ndarray) -> np.ndarray:
    """||x||^2 + ||y||^2 - 2 <x, y>, (a, b), written over the products; squares (a,) and others (b,) are the norms'."""
    products *= -2
    products += squares[:, None]
    products += others
    return products


def distances_from_products(products: np.ndarray, squares: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Euclidean distances (a, b): sqrt(max(||x||^2 + ||y||^2 - 2 <x, y>, 1e-12)), written over the products.

    products: (a, b), the <x_i, y_j>; squares: (a,), the ||x_i||^2; others: (b,), the ||y_j||^2

    Where the difference is no more than rounding can leave of equal rows (``EQUAL``), they count as equal: whether
    duplicates tie must not hang on how a device adds up.
    """
    squared = _squares_from_products(products, squares, others)
    # Few entries are as small as rounding: only those are compared with their own scale.
    small = np.nonzero(squared <= EQUAL * (squares.max(initial=0) + others.max(initial=0)))
    squared[small] = np.where(squared[small] <= EQUAL * (squares[small[0]] + others[small[1]]), 0, squared[small])
    np.maximum(squared, SMALLEST_DISTANCE**2, out=squared)
    return np.sqrt(squared, out=squared)
