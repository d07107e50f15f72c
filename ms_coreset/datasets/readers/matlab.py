"""Numeric arrays and structs of MATLAB 5 files (.mat, "-v6" and "-v7"), by MathWorks' description of the format.

They are read here because SciPy's reader expects undamaged files and can crash the process on a damaged one.
"""

import io
import math
import os
import struct
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Any, Union

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.files import most_from, open_file

_BLOCK = 1 << 20
_MATRIX, _COMPRESSED = 14, 15  # types of an element
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_NUMERIC, _COMPLEX = range(6, 16), 0x0800  # classes of an array; a bit of its flags
_LARGEST_HEADER = 1024  # bytes of a name or a shape
_STRUCT, _CHAR = 2, 4  # classes of an array
_CODINGS = {1: "latin1", 2: "latin1", 4: "utf-16", 16: "utf-8", 17: "utf-16"}  # of texts, by their type
_MOST_STRUCTS, _LARGEST_FIELD = 100_000, 1 << 16  # structs in an array; bytes of a field
Source = Union[BufferedReader, io.BytesIO, "_Inflated"]


def read_matlab(path: Path, names: Collection[str]) -> dict[str, np.ndarray]:
    """Read the arrays ``names`` of a MATLAB 5 file, in the types they are stored in.

    Arrays that are not real and numeric count as missing. Memory is taken for what the file holds, never for what a
    header claims.

    Args:
        path: the file.
        names: of the arrays.

    Returns:
        Name -> array.

    Raises:
        MsCoresetError: naming the file when it is missing, damaged, of another format, or lacks an array.
    """
    arrays = _read(path, names, _read_matrix)
    missing = [name for name in names if name not in arrays]
    if missing:
        raise MsCoresetError(f"{path} holds no numeric array {missing[0]!r}: it is not one of this set's files; "
                             "get the file anew")
    return arrays


def read_structs(path: Path, name: str, fields: Sequence[str]) -> list[tuple]:
    """The array of structs ``name`` of a MATLAB 5 file.

    Args:
        path: the file.
        name: of the array of structs.
        fields: names of the fields to read.

    Returns:
        A tuple of the ``fields``, arrays and texts, for each struct.

    Raises:
        MsCoresetError: as ``read_matlab``, and for structs that lack a field, or hold something else there.
    """
    found = _read(path, (name,), _read_structs)
    if name not in found:
        raise MsCoresetError(f"{path} holds no structs {name!r}: it is another file; get the file anew")
    try:
        return [tuple(one[field] for field in fields) for one in found[name]]
    except KeyError as error:
        raise MsCoresetError(f"{path}: a struct of {name!r} lacks {error}, or it is neither numbers nor a text; get "
                             "the file anew") from error


def _read(path: Path, names: Collection[str],
          read: Callable[[Source, str, Collection[str]], tuple[str, Any] | None]) -> dict[str, Any]:
    try:
        with open_file(path) as stream:
            return dict(_read_arrays(stream, names, read))
    except (EOFError, zlib.error, struct.error, ValueError) as error:
        raise MsCoresetError(f"{path} is no whole MATLAB 5 file: {error}; get the file anew") from error
    except OSError as error:
        raise MsCoresetError(f"can't read {path}: {error.strerror or error}") from error


def _read_arrays(stream: BufferedReader, names: Collection[str],
                 read: Callable[[Source, str, Collection[str]], tuple[str, Any] | None]) -> Iterator[tuple[str, Any]]:
    order = _byte_order(_exactly(stream, 128))
    size = os.fstat(stream.fileno()).st_size
    while stream.tell() < size:
        kind, length = struct.unpack(f"{order}II", _exactly(stream, 8))
        end = stream.tell() + length
        if end > size:
            raise EOFError(f"an element ends at byte {end:,}, the file at {size:,}")
        if kind == _COMPRESSED:
            source: Source = _Inflated(stream, length)
            kind, _ = struct.unpack(f"{order}II", _exactly(source, 8))
        else:
            source = stream
        if kind == _MATRIX and (array := read(source, order, names)) is not None:
            if isinstance(source, _Inflated):
                source.finish()
            yield array
        stream.seek(end)


def _byte_order(header: bytearray) -> str:
    marks = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}  # version 1.0, and the letters MI as one number
    if (mark := bytes(header[124:])) not in marks:
        raise ValueError("its header says otherwise")
    return marks[mark]


def _read_matrix(source: Source, order: str, names: Collection[str]) -> tuple[str, np.ndarray] | None:
    """(name, array) of one matrix, or None for one that is not wanted, or no real numbers."""
    flags, shape, name = _read_header(source, order)
    if name not in names or flags & 0xFF not in _NUMERIC or flags & _COMPLEX:
        return None
    return name, _read_numbers(source, order, shape, name)


def _read_header(source: Source, order: str) -> tuple[int, tuple[int, ...], str]:
    """(flags, shape, name), which every array begins with."""
    (_, bits), (_, sides), (_, letters) = (_read_element(source, order) for _ in range(3))
    flags, shape = struct.unpack(f"{order}II", bits)[0], struct.unpack(f"{order}{len(sides) // 4}i", sides)
    name = letters.decode("latin1")
    if min(shape, default=-1) < 0:
        raise ValueError(f"{name!r} is of shape {shape}")
    return flags, shape, name


def _read_numbers(source: Source, order: str, shape: tuple[int, ...], name: str) -> np.ndarray:
    kind, content = _read_element(source, order, largest=8 * math.prod(shape))
    if kind not in _TYPES or len(content) != math.prod(shape) * np.dtype(_TYPES[kind]).itemsize:
        raise ValueError(f"{name!r} of shape {shape} is stored in {len(content):,} bytes of type {kind}")
    return np.frombuffer(content, order + _TYPES[kind]).reshape(shape, order="F")


def _read_structs(source: Source, order: str, names: Collection[str]) -> tuple[str, list[dict[str, Any]]] | None:
    """(name, list of dicts) of one array of structs, or None for one that is not wanted, or no structs."""
    flags, shape, name = _read_header(source, order)
    if name not in names or flags & 0xFF != _STRUCT:
        return None
    (width,) = struct.unpack(f"{order}i", _read_element(source, order)[1])
    _, letters = _read_element(source, order)
    if width < 1 or math.prod(shape) > _MOST_STRUCTS:
        raise ValueError(f"{name!r} is of shape {shape}, with names of {width} letters")
    labels = [letters[start:start + width] for start in range(0, len(letters), width)]
    fields = [label.partition(b"\0")[0].decode("latin1") for label in labels]
    return name, [_read_fields(source, order, fields) for _ in range(math.prod(shape))]


def _read_fields(source: Source, order: str, fields: Sequence[str]) -> dict[str, Any]:
    """{field: array of numbers, or text} of one struct, without those that hold anything else."""
    found = {}
    for field in fields:
        kind, content = _read_element(source, order, _LARGEST_FIELD)
        if kind != _MATRIX:
            raise ValueError(f"the field {field!r} is no array")
        value = _plain(io.BytesIO(content), order, field) if content else None
        if value is not None:
            found[field] = value
    return found


def _plain(source: Source, order: str, field: str) -> np.ndarray | str | None:
    flags, shape, _ = _read_header(source, order)
    if flags & 0xFF in _NUMERIC and not flags & _COMPLEX:
        return _read_numbers(source, order, shape, field)
    if flags & 0xFF != _CHAR:
        return None
    kind, content = _read_element(source, order, _LARGEST_FIELD)
    coding = _CODINGS.get(kind)
    if coding is None:
        raise ValueError(f"the text {field!r} is of type {kind}")
    return content.decode(coding + ("" if coding != "utf-16" else "-le" if order == "<" else "-be"))


def _read_element(source: Source, order: str, largest: int = _LARGEST_HEADER) -> tuple[int, bytearray]:
    """(type, content) of the next element; up to four bytes are stored within the tag."""
    tag = _exactly(source, 8)
    kind, length = struct.unpack(f"{order}II", tag)
    if kind >> 16:
        return kind & 0xFFFF, tag[4:4 + min(4, kind >> 16)]
    if length > getattr(source, "most", length):
        raise ValueError(f"an element announces {length:,} bytes, more than it can stand for")
    if length > largest:
        raise ValueError(f"an element announces {length:,} bytes where at most {largest:,} are due")
    content = _exactly(source, length)
    _exactly(source, -length % 8)
    return kind, content


def _exactly(source: Source, length: int) -> bytearray:
    content = bytearray()
    while len(content) < length:
        block = source.read(min(_BLOCK, length - len(content)))
        if not block:
            raise EOFError(f"it ends {length - len(content):,} bytes too early")
        content += block
    return content


class _Inflated:
    """The content of a compressed element of ``length`` bytes; ``stream`` is at its beginning."""

    def __init__(self, stream: BufferedReader, length: int) -> None:
        self._stream, self._left, self.most = stream, length, most_from(length)
        self._inflate = zlib.decompressobj()

    def read(self, length: int) -> bytes:
        """Read between one and ``length`` bytes; none at the end, where zlib has compared its checksum."""
        content = b""
        while not content and not self._inflate.eof:
            block = self._inflate.unconsumed_tail or self._decompress()
            content = self._inflate.decompress(block, length)
            if not block and not content:
                break
        return content

    def _decompress(self) -> bytes:
        block = self._stream.read(min(_BLOCK, self._left))
        self._left -= len(block)
        return block

    def finish(self) -> None:
        """Check that everything was read and the checksum is right; raises ``ValueError`` otherwise."""
        if self.read(1) or not self._inflate.eof:
            raise ValueError("a compressed element is longer than its array, or lacks its end")
