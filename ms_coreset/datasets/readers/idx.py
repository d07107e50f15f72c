"""IDX files, plain or compressed (http://yann.lecun.com/exdb/mnist describes the format)."""

import contextlib
import gzip
import math
import os
import struct
import zlib
from io import BufferedIOBase, BufferedReader
from pathlib import Path

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.files import most_from, open_file

_BLOCK = 1 << 20
_TYPES = {8: ("bytes", "u1"), 12: ("32-bit integers", ">i4")}  # code in the header: name, NumPy's type


def read_idx(path: Path, item_shape: tuple[int, ...], code: int = 8) -> np.ndarray:
    """Read an IDX file, plain or ``.gz``.

    Memory is taken for what the file holds, never for what its header claims.

    Args:
        path: the file.
        item_shape: shape of one item.
        code: of the type: 8 for uint8, 12 for big-endian int32.

    Returns:
        (n, *item_shape), uint8 or big-endian int32.

    Raises:
        MsCoresetError: naming the file when it is missing, damaged, of another type or shape, or not exactly as long as
            its header says.
    """
    dtype = np.dtype(_TYPES[code][1])
    try:
        with open_file(path) as file, _open(file, path) as stream:
            shape = _read_header(stream, path, item_shape, code)
            announced = math.prod(shape) * dtype.itemsize
            _require_room(announced, path)
            content = _read_upto(stream, announced + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise MsCoresetError(f"{path} is damaged: {error}; get the file anew") from error
    except OSError as error:
        raise MsCoresetError(f"can't read {path}: {error.strerror}") from error
    if len(content) != announced:
        held = "more" if len(content) > announced else f"{len(content):,}"
        raise MsCoresetError(f"{path}: its header announces {announced:,} bytes, it holds {held}; get the file anew")
    return np.frombuffer(content, dtype).reshape(shape)


def _open(file: BufferedReader, path: Path) -> gzip.GzipFile | contextlib.nullcontext[BufferedReader]:
    return gzip.open(file) if path.suffix == ".gz" else contextlib.nullcontext(file)


def _require_room(announced: int, path: Path) -> None:
    """Raise ``MsCoresetError`` where a header announces more than its file can stand for."""
    stored = os.path.getsize(path)
    if announced > (most_from(stored) if path.suffix == ".gz" else stored):
        raise MsCoresetError(f"{path}: its header announces {announced:,} bytes, in a file of {stored:,}; get the file "
                             "anew")


def _read_header(stream: BufferedIOBase, path: Path, item_shape: tuple[int, ...], code: int) -> tuple[int, ...]:
    dimensions = 1 + len(item_shape)
    header = stream.read(4 + 4 * dimensions)
    if header[:4] != bytes((0, 0, code, dimensions)) or len(header) != 4 + 4 * dimensions:
        raise MsCoresetError(f"{path} is no IDX file of {_TYPES[code][0]} in {dimensions} dimensions; "
                             "get the file anew")
    shape = struct.unpack(f">{dimensions}I", header[4:])
    if shape[1:] != item_shape:
        raise MsCoresetError(f"{path}: items of shape {shape[1:]}, not {item_shape}; get the file anew")
    return shape


def _read_upto(stream: BufferedIOBase, limit: int) -> bytearray:
    content = bytearray()
    while block := stream.read(min(_BLOCK, limit - len(content))):
        content += block
    return content
