"""Read .npz files; a header that claims more than its file can hold is refused before memory is allocated."""

import math
import os
import struct
import zipfile
from collections.abc import Collection
from typing import IO

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.files import most_from, open_file
from ms_coreset.kinds import FilePath

_BLOCK = 1 << 24
_PACKED = {zipfile.ZIP_STORED: False, zipfile.ZIP_DEFLATED: True}  # NumPy uses no other method
_END = struct.Struct("<4s4H2LH")  # the archive's last bytes: see the format's "end of central directory record"
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npz(path: FilePath, names: Collection[str], skip: Collection[str] = (),
             most: dict[str, int] | None = None) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by name.

    Args:
        path: the file
        names: of the arrays that it may hold
        skip: names of arrays to leave out
        most: name -> largest number of bytes, for arrays that are bounded

    Returns:
        {name: array}.

    Raises:
        MsCoresetError: if the file is missing or damaged, holds an array that is not in ``names``, or Python objects;
            it names the file.
    """
    try:
        with open_file(path) as stream, zipfile.ZipFile(stream) as archive:
            members = _members(archive, names, path)
            _require_small(members, most or {})
            return {name: _read(archive, member) for name, member in members.items() if name not in skip}
    except MsCoresetError:
        raise
    except (FileNotFoundError, PermissionError) as error:
        raise MsCoresetError(f"can't read {path}: {error.strerror}") from error
    except Exception as error:  # a damaged archive fails in zipfile, zlib or NumPy, each in its own way
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0] or type(error).__name__
        raise MsCoresetError(f"{path} is no whole .npz file: {reason}") from error


def _members(archive: zipfile.ZipFile, names: Collection[str], path: FilePath) -> dict[str, zipfile.ZipInfo]:
    members = {}
    for member in archive.infolist():
        name = member.filename.removesuffix(".npy")
        if name not in names:
            raise MsCoresetError(f"{path} holds {name!r}: its arrays may be {', '.join(names)}")
        if name in members:
            raise ValueError(f"{name!r} is there twice")
        members[name] = member
    if len(members) != _entry_count(_open(archive)):
        raise ValueError("its directory of arrays is damaged")
    return members


def _require_small(members: dict[str, zipfile.ZipInfo], most: dict[str, int]) -> None:
    for name in members.keys() & most.keys():
        if members[name].file_size > most[name]:
            raise ValueError(f"{name!r} is said to be of {members[name].file_size:,} bytes, more than any is")


def _open(archive: zipfile.ZipFile) -> IO[bytes]:
    assert archive.fp is not None  # only a closed one has none
    return archive.fp


def _entry_count(stream: IO[bytes]) -> int:
    """Number of entries of the directory according to the archive's end; zipfile does not compare the two."""
    stream.seek(-_END.size, os.SEEK_END)
    return _END.unpack(stream.read(_END.size))[4]


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    size = os.fstat(_open(archive).fileno()).st_size
    packed = _PACKED[member.compress_type]
    if member.compress_size > size or member.file_size > (most_from(member.compress_size) if packed else size):
        raise ValueError(f"{member.filename} can't be as large as it says ({member.file_size:,} bytes)")
    with archive.open(member) as stream:
        shape, columns_first, dtype = _HEADERS[np.lib.format.read_magic(stream)](stream)
        if dtype.hasobject:
            raise ValueError(f"{member.filename} holds Python objects, which could run code")
        length = math.prod(shape) * dtype.itemsize
        if stream.tell() + length != member.file_size:
            raise ValueError(f"{member.filename} of shape {shape} does not fit its size ({member.file_size:,} bytes)")
        content = np.empty(length, np.uint8)
        for start in range(0, length, _BLOCK):  # zipfile compares the checksum at the last byte
            part = content[start:start + _BLOCK]
            if stream.readinto(part) != len(part):  # type: ignore[attr-defined]  # a ``zipfile.ZipExtFile``
                raise EOFError(f"{member.filename} ends too early")
    return content.view(dtype).reshape(shape, order="F" if columns_first else "C")
