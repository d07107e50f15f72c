"""Matrix products on the device or the host, with the same bytes for any number of threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ms_coreset.rows import take
from ms_coreset.selectors import row_blocks
from ms_coreset.selectors.processors import float_type, load_mindspore, on_host, one_blas_thread, side_by_side
from ms_coreset.selectors.row_blocks import blocks
from ms_coreset.stored_rows import StoredRows

if TYPE_CHECKING:
    from mindspore import Tensor


ALONE = 1 << 24  # multiplications of numbers that are left to one thread
NARROWEST = 256  # columns of a product that are left to one thread
GRAM_STRIP = 256  # columns


def multiply(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Product of left (a, m) and right (m, b) on the host, the same bytes on any number of threads.

    A large product is divided by columns, in parts that depend on its size alone.

    Args:
        left: (a, m), float32 or float64.
        right: (m, b), of the same type.

    Returns:
        (a, b).
    """
    width = max(NARROWEST, ALONE // max(1, left.size))
    if right.shape[1] <= width:
        return left @ right
    products = np.empty((len(left), right.shape[1]), np.result_type(left, right))

    def of_columns(part: slice) -> None:
        np.matmul(left, right[:, part], out=products[:, part])

    side_by_side(of_columns, [(part,) for part in blocks(right.shape[1], 1, width)])
    return products


def product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Product (a, b) of left (a, d) and right (b, d) transposed, as float64, computed in ``float_type``."""
    if on_host():
        return multiply(np.asarray(left, np.float64), np.asarray(right, np.float64).T)
    return resident_rows(right).products(left)


def gram(rows: np.ndarray) -> np.ndarray:
    """Product of rows (m, d) transposed and themselves, (d, d) float64; one half is computed, the other mirrored."""
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


class HostRows:
    """Rows (n, d) float64 on the host; a float64 array is not copied."""

    def __init__(self, rows: np.ndarray) -> None:
        self._rows = np.ascontiguousarray(rows, np.float64)

    def products(self, left: np.ndarray, columns: slice = slice(None)) -> np.ndarray:
        return multiply(np.asarray(left, np.float64), self._rows[columns].T)

    def weighted_sums(self, weights: np.ndarray) -> np.ndarray:
        return multiply(np.asarray(weights, np.float64), self._rows)


class DeviceRows:
    """Rows (n, d) that stay on the device, in ``float_type``."""

    def __init__(self, rows: np.ndarray) -> None:
        mindspore = load_mindspore()
        self._rows = mindspore.Tensor(np.ascontiguousarray(rows, float_type()))
        # ``rows.T`` would copy them for every product: fifty times the cost of the product with one vector.
        self._inner = mindspore.ops.MatMul(transpose_b=True)
        self._sum = mindspore.ops.MatMul()

    def products(self, left: np.ndarray, columns: slice = slice(None)) -> np.ndarray:
        return self._multiply(self._inner, left, self._rows if columns == slice(None) else self._rows[columns])

    def weighted_sums(self, weights: np.ndarray) -> np.ndarray:
        return self._multiply(self._sum, weights, self._rows)

    def _multiply(self, operator: Callable, left: np.ndarray, right: Tensor) -> np.ndarray:
        tensor = load_mindspore().Tensor(np.ascontiguousarray(left, np.float64), right.dtype)
        return operator(tensor, right).asnumpy().astype(np.float64)


def resident_rows(rows: np.ndarray) -> HostRows | DeviceRows:
    """Rows (n, d) in the memory of the device that computes, for many products.

    The result has ``products(left, columns=slice)``: left (b, d) times (some of) the rows transposed, (b, n) float64;
    and ``weighted_sums(weights)``: weights (b, n) times the rows, b weighted sums of them, (b, d) float64.
    """
    return HostRows(rows) if on_host() else DeviceRows(rows)


def quick_type(kind: np.dtype) -> np.dtype:
    """The type float32 for numbers that it can hold, float64 for others."""
    return np.dtype(np.float32 if np.can_cast(kind, np.float32) else np.float64)


class QuickProducts:
    """Inner products of rows (n, d) with one another and with vectors, in their ``quick_type``.

    Rows of another type are converted for every product, in blocks. Each product comes with a bound on its error
    relative to the product of the norms, so that float64 can decide between near values.
    """

    def __init__(self, rows: np.ndarray) -> None:
        self._rows = rows if isinstance(rows, StoredRows) else np.ascontiguousarray(rows)
        self._kind = quick_type(rows.dtype)
        precision = float(np.finfo(self._kind if on_host() else np.float32).eps)
        # Accelerators may round the factors to 10 bits.
        self._error = float((rows.shape[1] + 4) * precision + (0 if on_host() else 2.0**-9))
        self._device = None if on_host() else load_mindspore().Tensor(np.asarray(self._rows), load_mindspore().float32)

    def of_rows(self, places: np.ndarray) -> tuple[np.ndarray, float]:
        """(b, n) products of some rows with all, and the relative error."""
        return self._products(np.asarray(take(self._rows, places), self._kind)), self._error

    def of_vector(self, vector: np.ndarray) -> tuple[np.ndarray, float]:
        """(n,) float64 products of all rows with a vector (d,), and the relative error."""
        return self._products(np.asarray(vector, self._kind)[None])[0].astype(np.float64), self._error

    def _products(self, left: np.ndarray) -> np.ndarray:
        if self._device is None and self._rows.dtype == self._kind and isinstance(self._rows, np.ndarray):
            return multiply(left, self._rows.T)
        if self._device is None:
            parts = blocks(len(self._rows), self._kind.itemsize * self._rows.shape[1], row_blocks.BLOCK_BYTES // 8)
            return np.concatenate([multiply(left, np.asarray(self._rows[part], self._kind).T) for part in parts],
                                  axis=1)
        mindspore = load_mindspore()
        inner = mindspore.ops.MatMul(transpose_b=True)
        return inner(mindspore.Tensor(left, mindspore.float32), self._device).asnumpy()
