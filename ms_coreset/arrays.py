"""Arrays of other libraries (torch, MindSpore, pandas, h5py, zarr) as NumPy arrays, without importing those."""

from __future__ import annotations

from typing import Any

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.stored_rows import JoinedRows, Places, StoredRows

PROBABILITY_TOLERANCE = 0.01  # of a row's sum: what rounding to bfloat16 or to a few decimals leaves


def as_array(name: str, value: Any) -> np.ndarray | StoredRows:
    """``value``, an array or tensor of any library or a list, as a NumPy array; it is copied only if needed.

    Memory-mapped arrays stay memory-mapped, and other arrays that lie in a file (h5py, zarr) become ``StoredRows``. So
    does a list of arrays (n_i, ...) that all lie in files, of at least two axes: they are one array, one after the
    other. bfloat16, which NumPy does not have, becomes float32.

    Args:
        name: what errors call it.
        value: an array or tensor of any library, or a list.

    Returns:
        An array of NumPy, or ``StoredRows``.

    Raises:
        MsCoresetError: naming it, for masked and sparse arrays, and for a value that is no array.
    """
    if type(value) is np.ndarray and value.dtype.kind != "V":  # most often, and asked for every batch of a training
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise MsCoresetError(f"{name}: a masked array says nothing of what is masked: leave these samples out, or put "
                             "numbers there by .filled(number)")
    if hasattr(value, "toarray") and hasattr(value, "nnz"):
        raise MsCoresetError(f"{name}: a sparse array ({type(value).__name__}): make it dense by .toarray()")
    if str(getattr(value, "dtype", "")).lower().endswith("bfloat16"):
        value = value.float() if hasattr(value, "float") else value.astype(np.float32)
    if type(value) in (np.ndarray, np.memmap, StoredRows):
        return value
    if _is_stored(value):
        return StoredRows(name, value)
    if isinstance(value, list | tuple) and value and all(map(_is_shard, value)):
        return StoredRows(name, JoinedRows(name, value))
    try:
        return np.asarray(_on_host(value))
    except Exception as error:  # the array's library may raise anything
        raise MsCoresetError(f"{name}: a {type(value).__name__} that does not become an array: {error}") from error


def as_losses(indices: Any, losses: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Places of samples and the loss of each, arrays or tensors of any library, as NumPy arrays.

    Args:
        indices: (b,) whole numbers from 0 to n - 1; b may be 0.
        losses: (b,) numbers, also such as are not finite.
        n: number of all samples.

    Returns:
        (places (b,) int64, losses (b,) float64).

    Raises:
        MsCoresetError: for other shapes and types, and places that there are not.
    """
    places, values = np.asarray(as_array("indices", indices)), np.asarray(as_array("losses", losses))
    if places.shape != values.shape or places.ndim != 1:
        raise MsCoresetError(f"losses of shape {values.shape} for indices of shape {places.shape}: must be one for "
                             "each")
    if len(places) and (places.dtype.kind not in "iu" or values.dtype.kind not in "fiu"):
        raise MsCoresetError(f"indices of type {places.dtype} and losses of type {values.dtype}: must be whole numbers "
                             "and numbers")
    require_places(places, n)
    return places.astype(np.int64, copy=False), values.astype(np.float64, copy=False)


def require_places(places: np.ndarray, n: int) -> None:
    """Raise ``MsCoresetError`` unless all of ``places`` are among n samples."""
    if len(places) and (places.min() < 0 or places.max() >= n):
        raise MsCoresetError(f"indices from {places.min()} to {places.max()}: must be from 0 to {n - 1}")


def _on_host(value: Any) -> Any:
    """A tensor without its graph, in the host's memory; anything else as it is."""
    for step in ("detach", "cpu"):
        value = getattr(value, step)() if hasattr(value, step) else value
    return value


def _is_stored(value: Any) -> bool:
    """Whether ``value`` is like an array of NumPy without being one: of h5py or zarr, say, but not of pandas."""
    return (isinstance(getattr(value, "dtype", None), np.dtype) and hasattr(value, "shape")
            and hasattr(value, "__getitem__") and not isinstance(value, np.ndarray | np.generic)
            and not hasattr(value, "iloc"))


def _is_shard(value: Any) -> bool:
    """Whether ``value`` is an array of two axes or more that lies in a file."""
    return (isinstance(value, np.memmap | StoredRows) or _is_stored(value)) and len(value.shape) > 1


def plain(value: Any) -> Any:
    """``value`` as JSON would give it back: NumPy numbers and arrays as Python's, tuples as lists."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list | tuple) else value


def logits_of(probabilities: np.ndarray | StoredRows) -> np.ndarray | StoredRows:
    """Logits log p of ``probabilities`` (n, C), float64: their softmax is p.

    Probabilities in a file (``StoredRows``) are converted when they are read.

    A probability of 0 counts as the smallest positive number of its type, since a smaller one would have been rounded
    to 0. Its log is -744.4 (float64 and whole numbers), -103.3 (float32) or -16.6 (float16).

    Raises:
        MsCoresetError: for rows outside [0, 1], and for rows whose sum differs from 1 by more than
            ``PROBABILITY_TOLERANCE``; it names the first such row.
    """
    lowest = _log_of_smallest(probabilities.dtype)

    def change(rows: np.ndarray, places: Places) -> np.ndarray:
        wrong = ~are_probabilities(rows)
        if wrong.any():
            place = int(np.argmax(wrong))
            raise MsCoresetError(f"probabilities of sample {places[place]} are none: they must lie in [0, 1] and sum "
                                 f"to 1, got {np.array2string(rows[place][:5], precision=4)}"
                                 f"{' ...' if rows.shape[1] > 5 else ''}, which sum to "
                                 f"{rows[place].sum(dtype=np.float64):.4g}")
        with np.errstate(divide="ignore"):
            return np.maximum(np.log(rows, dtype=np.float64), lowest)

    lazy = StoredRows("probabilities", probabilities, change, np.float64)
    return lazy if isinstance(probabilities, np.memmap | StoredRows) else lazy[:]


def _log_of_smallest(dtype: np.dtype) -> float:
    # Computed, because the number itself reads as 0 where a library makes the processor flush denormals.
    limits = np.finfo(dtype if dtype.kind == "f" else np.float64)
    return float(limits.minexp - limits.nmant) * np.log(2.0)


def are_probabilities(rows: np.ndarray) -> np.ndarray:
    """(b,) bool: which of the rows (b, C) lie in [0, 1] and sum to 1, to within ``PROBABILITY_TOLERANCE``."""
    with np.errstate(over="ignore"):  # sums of logits near the largest number overflow
        sums = rows.sum(axis=1, dtype=np.float64)
    return (rows.min(axis=1) >= 0) & (abs(sums - 1) <= PROBABILITY_TOLERANCE)
