"""The checks of what ``Evidence`` is made of: labels, numbers, and whether they can be used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ms_coreset.arrays import are_probabilities, as_array
from ms_coreset.errors import MsCoresetError, warn
from ms_coreset.stored_rows import StoredRows

BLOCK_NUMBERS = 4 << 20  # that are looked at together, whether they can be used
ASYMMETRY = 1e-6  # of the largest similarity: two that differ by less are one, but for rounding
TILE = 512  # columns of a tile that is compared with its mirror image
LARGEST_FEATURE, SMALLEST_FEATURE = 1e15, 1e-6  # squares are finite in single precision


def require_label_columns(labels: np.ndarray, classes: int, why: str = "") -> None:
    """Raise ``MsCoresetError`` unless labels (n,) are 0 to ``classes`` - 1."""
    wrong = (labels < 0) | (labels >= classes)
    if wrong.any():
        sample = int(np.argmax(wrong))
        raise MsCoresetError(f"labels must be 0 to {classes - 1}, the columns of logits{why}; that of sample {sample} "
                             f"is {labels[sample]}")


def as_labels(given: Any) -> np.ndarray:
    """``given`` as integers (n,)."""
    labels = np.asarray(as_array("labels", given))
    whole = labels
    flat = labels.ndim == 1  # else it may be a view of any size, which is not to be written out
    if flat and (labels.dtype.kind == "b" or (labels.dtype.kind == "f" and (abs(labels) < np.float64(2**53)).all())):
        whole = labels.astype(np.int64)
    if not flat or not len(labels) or whole.dtype.kind not in "iu" or (whole != labels).any():
        raise MsCoresetError(f"labels must be a non-empty (n,) array of integers, got {labels.dtype} of shape "
                             f"{labels.shape}{_odd(labels, whole)}")
    return whole


def _odd(labels: np.ndarray, whole: np.ndarray) -> str:
    """The first label that is no whole number, in words."""
    if labels.ndim != 1 or labels.dtype.kind != "f" or not len(labels):
        return ""
    sample = int(np.argmax((whole != labels) | ~(abs(labels) < 2**53)))
    return f": that of sample {sample} is {labels[sample]}"


def as_numbers(name: str, given: Any, shape: tuple[int | None, ...], like: str) -> np.ndarray | StoredRows:
    """``given`` as an array of numbers of the shape (n,), or (n, None): any number of columns but 0.

    ``like`` is the array that tells n, for the message.
    """
    array = as_array(name, given)
    if array.dtype.kind not in "fiu":
        raise MsCoresetError(f"{name} must be numbers, got {type(given).__name__} of {array.dtype}; convert it first")
    fits = array.ndim == len(shape) and array.shape[0] == shape[0]
    if not fits or 0 in array.shape:
        wanted = f"({shape[0]}, d)" if len(shape) == 2 else f"({shape[0]},)"
        alike = "" if like == name else f" like {like}"
        raise MsCoresetError(f"{name} must be a {wanted} array{alike}, got shape {array.shape}"
                             f"{', which has no columns' if fits else ''}")
    return array


def as_similarity(given: Any, n: int) -> Any:
    """``given`` as a matrix (n, n) of numbers: an array, or a sparse matrix of SciPy by rows.

    Arrays in a file that is not memory-mapped (h5py, zarr) are read whole: single columns can't be read of them.
    """
    if is_sparse(given):
        matrix = given.tocsr()
        matrix = matrix.astype(np.float64) if matrix.dtype.kind in "iub" else matrix
        if not matrix.has_canonical_format:
            matrix = matrix.copy()  # the user's stays as it is
            matrix.sum_duplicates()
    else:
        matrix = as_array("similarity", given)
        matrix = matrix[:] if isinstance(matrix, StoredRows) else matrix
    if matrix.dtype.kind not in "fiu" or matrix.shape != (n, n):
        raise MsCoresetError(f"similarity must be numbers of shape ({n}, {n}), of each sample with each, got "
                             f"{matrix.dtype} of shape {matrix.shape}")
    return matrix


def is_sparse(matrix: Any) -> bool:
    """Whether it is a sparse matrix of SciPy."""
    return hasattr(matrix, "tocsr")


def require_symmetric(similarity: Any) -> None:
    """Raise ``MsCoresetError`` for similarities (n, n) that are not all finite, or not symmetric."""
    numbers = similarity.data if is_sparse(similarity) else None
    if numbers is None or not np.isfinite(numbers).all():
        for rows, part in _row_parts(similarity):
            require_finite(part, "similarities", range(len(part)), rows.start)
    tolerance = _tolerance(similarity)
    if is_sparse(similarity) and abs(similarity - similarity.T).max() <= tolerance:
        return
    for rows, part in _row_parts(similarity):
        for columns, tile in _tiles(part, rows):
            mirrored = _as_float64(similarity[columns, rows]).T
            apart = np.abs(tile - mirrored)
            if apart.max(initial=0) > tolerance:
                i, j = np.unravel_index(np.argmax(apart), apart.shape)
                raise MsCoresetError(f"similarity must be symmetric: of samples {rows.start + i} and "
                                     f"{columns.start + j} it is {tile[i, j]:.9g}, the other way round "
                                     f"{mirrored[i, j]:.9g}")


def require_positive(values: np.ndarray, name: str) -> None:
    """Raise ``MsCoresetError`` for a value (n,) that is not above 0."""
    wrong = np.flatnonzero(~(np.asarray(values) > 0))
    if len(wrong):
        raise MsCoresetError(f"{name} must be above 0; that of sample {wrong[0]} is {values[wrong[0]]}")


def require_not_negative(similarity: Any, method: str) -> None:
    """Raise ``MsCoresetError`` for similarities (n, n) below 0, of which ``method`` can make no use."""
    if is_sparse(similarity) and similarity.data.min(initial=0) >= 0:
        return
    for rows, part in _row_parts(similarity):
        if part.min(initial=0) < 0:
            i, j = np.unravel_index(np.argmin(part), part.shape)
            raise MsCoresetError(f"similarity of samples {rows.start + i} and {j} is {part[i, j]:.9g}: {method} is of "
                                 "similarities of at least 0; add a constant, or put 0 there")


def _tolerance(similarity: Any) -> float:
    """What two similarities that are one may differ by."""
    parts = [similarity.data] if is_sparse(similarity) else (part for _, part in _row_parts(similarity))
    largest = max(max(float(part.max(initial=0)), -float(part.min(initial=0))) for part in parts)
    kind = similarity.dtype
    return largest * max(ASYMMETRY, 4 * float(np.finfo(kind).eps) if kind.kind == "f" else 0.0)


def _row_parts(matrix: Any) -> Iterator[tuple[slice, np.ndarray]]:
    """(rows, the matrix (b, n) of these), block by block."""
    n = matrix.shape[0]
    step = max(1, BLOCK_NUMBERS // n)
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        part = matrix[rows]
        yield rows, part.toarray() if is_sparse(part) else part


def _tiles(part: np.ndarray, rows: slice) -> Iterator[tuple[slice, np.ndarray]]:
    """(columns, float64 tile) of the columns of a block of rows from its diagonal on."""
    for start in range(rows.start, part.shape[1], TILE):
        columns = slice(start, min(start + TILE, part.shape[1]))
        yield columns, _as_float64(part[:, columns])


def _as_float64(matrix: Any) -> np.ndarray:
    return np.asarray(matrix.toarray() if is_sparse(matrix) else matrix, np.float64)


def as_fields(whose: str, given: Mapping[str, Any], axes: tuple[str, ...],
              further: Mapping[str, tuple[str, ...]] | None = None) -> dict[str, np.ndarray | StoredRows]:
    """Arrays of numbers by name whose first axes are as long in all of them.

    Args:
        whose: the words before a name in errors.
        given: name -> what is given.
        axes: names of the first axes.
        further: name -> names of its axes after these; of others there are none.

    Returns:
        Name -> array.

    Raises:
        MsCoresetError: naming the first that is something else.
    """
    found = {name: as_array(f"{whose} {name}", value) for name, value in given.items()}
    lengths = next((array.shape[:len(axes)] for array in found.values()), ())
    for name, array in found.items():
        own = (*axes, *(further or {}).get(name, ()))
        if array.ndim != len(own) or array.shape[:len(axes)] != lengths or array.dtype.kind not in "fiub":
            shape = f"({own[0]},)" if len(own) == 1 else f"({', '.join(own)})"
            raise MsCoresetError(f"{whose} {name} must be numbers of shape {shape}, the same for all fields, got "
                                 f"{array.dtype} of shape {array.shape}")
    return found


def _blocks(array: np.ndarray, places: range) -> Iterator[tuple[int, np.ndarray]]:
    """(place of the first, rows) of an array, block by block of the samples ``places``, a range."""
    step = max(1, BLOCK_NUMBERS // max(1, array[:1].size))
    return ((start, array[start:min(start + step, places.stop)]) for start in places[::step])


def require_finite(array: np.ndarray, name: str, places: range, before: int = 0) -> None:
    """Raise ``MsCoresetError`` for numbers that are not finite; ``before``: samples before the array's first."""
    # A sum is finite only if every term is, and takes one pass without a temporary; an overflowing sum of finite
    # terms is told apart by looking closer.
    for first, part in _blocks(array, places):
        with np.errstate(over="ignore", invalid="ignore"):
            suspicious = not np.isfinite(part.sum())
        if suspicious and not np.isfinite(part).all():
            raise MsCoresetError(f"{name} of sample {before + first + int(np.argwhere(~np.isfinite(part))[0, 0])} "
                                 "are not finite")


def require_measurable(features: np.ndarray, places: range) -> None:
    """Raise ``MsCoresetError`` where float32 distances would all be infinite, or too small to tell apart."""
    largest = max((extreme for _, part in _blocks(features, places)  # -(-128) is no int8
                   for extreme in (float(part.max(initial=0)), -float(part.min(initial=0)))), default=0.0)
    if largest > LARGEST_FEATURE or 0 < largest < SMALLEST_FEATURE:
        raise MsCoresetError(f"features are as large as {largest:.3g}: distances are told apart where the largest lies "
                             f"between {SMALLEST_FEATURE:g} and {LARGEST_FEATURE:g}; multiply them by a constant")


def warn_of_probabilities(logits: np.ndarray, places: range) -> None:
    """Warn where all logits of the samples ``places``, of more than one class, look like the output of a softmax."""
    if logits.shape[1] > 1 and all(are_probabilities(part).all() for _, part in _blocks(logits, places)):
        warn("logits look like probabilities, for every row lies in [0, 1] and sums to 1: if they are, give them as "
             "Evidence(probabilities=...), in a command say --probabilities")
