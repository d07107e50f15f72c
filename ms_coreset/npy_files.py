"""Memory-mapped .npy files, whose space on disk is reserved when they are made."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.files import open_file, reserve
from ms_coreset.kinds import FilePath


def create_array(path: FilePath, dtype: Any, shape: tuple[int, ...]) -> np.memmap:
    """Make a memory-mapped .npy file and reserve its space on disk.

    Raises:
        MsCoresetError: if it can't be made or the disk is full. (A disk that becomes full while the map is written
            would end the process.)
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
        with open(path, "r+b") as stream:
            reserve(stream, os.fstat(stream.fileno()).st_size)
        return array
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink()
        raise MsCoresetError(f"can't write {path}: {error.strerror or error}") from error


def lengthen_array(path: FilePath, rows: int) -> np.memmap:
    """Give an .npy file more rows, which are zeros, without writing the others again.

    NumPy leaves room in a file's header for the number of rows to grow.

    Args:
        path: of an .npy file.
        rows: how many it is to have; a file that has as many stays as it is.

    Returns:
        A writable memory map of it.

    Raises:
        MsCoresetError: as ``open_array`` and ``create_array``.
    """
    array = open_array(path)
    offset, dtype, shape = array.offset, array.dtype, (rows, *array.shape[1:])
    if len(array) >= rows:
        return open_array(path, "r+")
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    size = offset + dtype.itemsize * int(np.prod(shape))
    try:
        with open(path, "r+b") as stream:
            version = np.lib.format.read_magic(stream)
            reserve(stream, size)
            stream.truncate(size)
            stream.seek(0)
            write = np.lib.format.write_array_header_1_0 if version == (1, 0) else np.lib.format.write_array_header_2_0
            write(stream, header)
            assert stream.tell() == offset
    except OSError as error:
        raise MsCoresetError(f"can't write {path}: {error.strerror or error}") from error
    return open_array(path, "r+")


def write_rows(array: np.memmap, start: int, values: np.ndarray) -> None:
    """Write ``values`` to the rows from ``start`` on of a memory-mapped .npy file that other processes write to, too.

    They are written through the file, not the map: a map writes whole pages, and would restore old values of
    neighboring rows.

    Raises:
        MsCoresetError: when it can't be written.
    """
    values = np.ascontiguousarray(values, array.dtype)
    assert array.filename is not None  # the map is of a file
    try:
        with open(array.filename, "r+b") as stream:
            stream.seek(array.offset + start * array.strides[0])
            stream.write(values.data.cast("B"))
    except OSError as error:
        raise MsCoresetError(f"can't write {array.filename}: {error.strerror or error}") from error


def open_array(path: FilePath, mode: str = "r") -> np.memmap:
    """A memory map of an .npy file, read-only or ("r+") writable.

    Raises:
        MsCoresetError: if the file is missing, is no whole .npy file, or holds Python objects; it names the file. The
            file is mapped for reading first, because NumPy extends a file that is mapped for writing to the length its
            header claims.
    """
    try:
        open_file(path).close()
        array = np.lib.format.open_memmap(path, mode="r")
        return array if mode == "r" else np.lib.format.open_memmap(path, mode=mode)
    except Exception as error:  # a damaged header raises whatever its text happens to spell
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0] or type(error).__name__
        raise MsCoresetError(f"{path} is no whole .npy file: {reason}") from error
