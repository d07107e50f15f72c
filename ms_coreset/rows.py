"""Access to rows of arrays: some rows, and all rows in blocks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import cast

import numpy as np

from ms_coreset.stored_rows import StoredRows

ROWS_BYTES = 4 << 20  # of a block of rows in float64: it stays in the cache


def take(array: np.ndarray, rows: np.ndarray | Sequence[int]) -> np.ndarray:
    """``array[rows]``; a view, not a copy, if the rows are consecutive and ascending: of ``StoredRows``, such again."""
    places = as_slice(rows)
    if isinstance(array, StoredRows) and isinstance(places, slice):
        return cast("np.ndarray", array.part(places))
    return array[places]


def take_as(array: np.ndarray, rows: np.ndarray, kind: np.dtype) -> np.ndarray:
    """``take`` with a conversion to another type, in blocks of rows: there is no copy in the array's own type."""
    if array.dtype == kind:
        return take(array, rows)
    taken = np.empty((len(rows), *array.shape[1:]), kind)
    for part in row_blocks(taken):
        taken[part] = take(array, rows[part])
    return taken


def as_slice(rows: np.ndarray | Sequence[int]) -> slice | np.ndarray | Sequence[int]:
    """``rows``, as a slice if they are consecutive and ascending."""
    together = len(rows) and rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all()
    return slice(int(rows[0]), int(rows[-1]) + 1) if together else rows


def row_wise(function: Callable[..., np.ndarray], *arrays: np.ndarray) -> np.ndarray:
    """(n,): ``function`` applied to rows of arrays (n, ...), in blocks, so that no float64 copy of all is made."""
    return np.concatenate([function(*(array[part] for array in arrays)) for part in row_blocks(*arrays)])


def row_blocks(*arrays: np.ndarray | StoredRows) -> list[slice]:
    """Slices that cover the rows of arrays (n, ...); a slice of all arrays takes ``ROWS_BYTES`` in float64."""
    return blocks(len(arrays[0]), 8 * sum(math.prod(array.shape[1:]) for array in arrays), ROWS_BYTES)


def blocks(n: int, row_bytes: int, block_bytes: float) -> list[slice]:
    """Slices that cover n rows of ``row_bytes`` each, at most ``block_bytes`` together, but one row at least."""
    step = max(1, int(block_bytes // max(1, row_bytes)))
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]
