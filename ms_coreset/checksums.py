"""Checksums of files and arrays."""

from __future__ import annotations

import hashlib
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.files import open_file
from ms_coreset.kinds import FilePath
from ms_coreset.rows import row_blocks
from ms_coreset.stored_rows import StoredRows

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def digest(path: FilePath, algorithm: str = "md5") -> str:
    """Hexadecimal checksum of a file's bytes; raises ``MsCoresetError`` naming a file that can't be read."""
    try:
        with open_file(path) as stream:
            return hashlib.file_digest(stream, algorithm).hexdigest()
    except OSError as error:
        raise MsCoresetError(f"can't read {path}: {error.strerror or error}") from error


def array_digest(*arrays: ArrayLike) -> str:
    """Hexadecimal BLAKE2b checksum (16 bytes) of arrays' types, shapes and contents, also of SciPy's sparse rows."""
    total = hashlib.blake2b(digest_size=16)
    for given in chain.from_iterable(map(_parts, arrays)):
        array = given if isinstance(given, StoredRows) else np.atleast_1d(given)
        total.update(f"{array.dtype.str}{array.shape}".encode())
        for part in row_blocks(array) if 0 not in array.shape else ():
            total.update(np.ascontiguousarray(array[part]).data.cast("B"))
    return total.hexdigest()


def _parts(array: Any) -> tuple[Any, ...]:
    return (array.indptr, array.indices, array.data) if hasattr(array, "indptr") else (array,)
