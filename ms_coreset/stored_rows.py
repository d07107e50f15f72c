"""Arrays that lie in files, of which only the requested rows are read."""

from __future__ import annotations

import copy as copies
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ms_coreset.errors import MsCoresetError

_BLOCK_BYTES = 16 << 20
Places = range | np.ndarray


class StoredRows:
    """An array (n, ...) in a file, of which only the requested rows are read, as slices.

    It is indexed like a NumPy array. A slice, one place, an array of places in any order, or a mask (n,) gives an array
    in memory; so do columns ([:, columns]), of which all rows are read, a block at a time; any other index reads the
    whole array.

    Args:
        name: what errors call it.
        stored: the array in the file; it has ``shape`` and ``dtype``, and gives rows by slices. Of an array of NumPy or
            of this module, rows at scattered places are read alone; of others with what lies between them.
        change: function (rows, their places in the file) -> rows, applied to all rows after they are read.
        dtype: type of the rows that ``change`` returns.
    """

    def __init__(self, name: str, stored: Any, change: Callable[[np.ndarray, Places], np.ndarray] | None = None,
                 dtype: Any = None) -> None:
        self._name, self._stored, self._change = name, stored, change
        self._first = 0  # of the rows in the file
        self.shape, self.dtype = tuple(stored.shape), np.dtype(dtype or stored.dtype)
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def part(self, rows: slice) -> StoredRows:
        """The rows of a slice of step 1, which stay in the file."""
        start, stop, _ = rows.indices(len(self))
        part = copies.copy(self)
        part._first, part.shape = self._first + start, (max(0, stop - start), *self.shape[1:])
        return part

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if dtype is None or dtype == self.dtype:
            return np.array(self[:]) if copy else self[:]
        whole = np.empty(self.shape, dtype)
        for rows in self._blocks():
            whole[rows] = self[rows]
        return whole

    def __getitem__(self, rows: Any) -> np.ndarray:
        if isinstance(rows, tuple):
            if rows[0] != slice(None):
                return self[:][rows]
            return np.concatenate([np.ascontiguousarray(self[part][rows]) for part in self._blocks()])
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            return self._read(start, max(start, stop)) if step == 1 else self._at(np.arange(start, stop, step))
        rows = np.asarray(rows)
        if rows.dtype == bool:
            return self._at(np.flatnonzero(rows))
        return self._at(np.arange(len(self))[rows.ravel()]).reshape(*rows.shape, *self.shape[1:])

    def _block(self) -> int:
        """How many rows take ``_BLOCK_BYTES``."""
        return max(1, _BLOCK_BYTES // max(1, self.dtype.itemsize * int(np.prod(self.shape[1:]))))

    def _blocks(self) -> list[slice]:
        step = self._block()
        return [slice(start, start + step) for start in range(0, max(1, len(self)), step)]

    def _at(self, places: np.ndarray) -> np.ndarray:
        """The rows at ``places``, read by at most ``_BLOCK_BYTES`` at a time."""
        if not len(places):
            return self._read(0, 0)
        found = np.empty((len(places), *self.shape[1:]), self.dtype)
        order = np.argsort(places, kind="stable")
        ascending = places[order]
        scattered = isinstance(self._stored, np.ndarray | StoredRows | JoinedRows)
        numbers = (np.arange(len(places)) if scattered else ascending) // self._block()
        starts = np.flatnonzero(np.diff(numbers, prepend=-1))
        for first, last in zip(starts, [*starts[1:], len(places)], strict=True):
            low, some = ascending[first], ascending[first:last]
            found[order[first:last]] = (self._rows(self._first + some, self._first + some) if scattered
                                        else self._read(low, ascending[last - 1] + 1)[some - low])
        return found

    def _read(self, start: int, stop: int) -> np.ndarray:
        start, stop = self._first + int(start), self._first + int(stop)
        return self._rows(slice(start, stop), range(start, stop))

    def _rows(self, index: slice | np.ndarray, places: Places) -> np.ndarray:
        try:
            rows = np.asarray(self._stored[index])
        except Exception as error:  # a file that was closed meanwhile, say
            raise MsCoresetError(f"{self._name} can't be read: {error}") from error
        return rows if self._change is None else self._change(rows, places)


class JoinedRows:
    """Arrays (n_i, ...), such as the files of one array that was written in parts, one after the other as (n, ...).

    It gives rows by slices and by ascending places, for ``StoredRows``: slices of one file as they are, others joined.

    Args:
        name: what errors call it.
        arrays: at least one; each has ``shape`` and ``dtype``, and gives rows by slices.
        names: what errors call each; by default by its number.

    Raises:
        MsCoresetError: where types or shapes beyond the first axis differ.
    """

    def __init__(self, name: str, arrays: Sequence[Any], names: Sequence[Any] = ()) -> None:
        for number, array in enumerate(arrays):
            if array.dtype != arrays[0].dtype or array.shape[1:] != arrays[0].shape[1:]:
                own, first = (names[i] if names else f"{name} {i}" for i in (number, 0))
                raise MsCoresetError(f"{own} is {array.dtype} of shape {tuple(array.shape)}, {first} is "
                                     f"{arrays[0].dtype} of shape {tuple(arrays[0].shape)}: parts of one array must "
                                     "be alike but for the number of rows")
        self._arrays = [array if isinstance(array, np.ndarray | StoredRows) else StoredRows(name, array)
                        for array in arrays]
        self._ends = np.cumsum([array.shape[0] for array in arrays])
        self.shape, self.dtype = (int(self._ends[-1]), *arrays[0].shape[1:]), arrays[0].dtype

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        found = [np.asarray(array[part]) for array, part in self._parts(rows)]
        return found[0] if len(found) == 1 else np.concatenate(found or [np.empty((0, *self.shape[1:]), self.dtype)])

    def _parts(self, rows: slice | np.ndarray) -> Iterator[tuple[np.ndarray | StoredRows, slice | np.ndarray]]:
        """(array, places in it) of all arrays that have some of the rows."""
        start, stop, _ = rows.indices(self.shape[0]) if isinstance(rows, slice) else (rows[0], rows[-1] + 1, 1)
        first, last = np.searchsorted(self._ends, [start, stop - 1], "right")
        for number in range(first, last + 1 if start < stop else first):
            array, end = self._arrays[number], int(self._ends[number])
            begin = end - len(array)
            if isinstance(rows, slice):
                yield array, slice(max(0, start - begin), min(stop, end) - begin)
            else:
                yield array, rows[slice(*np.searchsorted(rows, [begin, end]))] - begin
