"""Reader of .safetensors files: a header in JSON, and then the numbers, one tensor after the other.

Memory is taken for what a file holds, never for what its header claims.
"""

import json
import math
import os
from collections.abc import Iterator
from io import BufferedReader
from typing import Any

import numpy as np

from ms_coreset.files import open_file, read_whole, reading
from ms_coreset.kinds import FilePath
from ms_coreset.stored_rows import StoredRows

_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
          "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?"}
_WHOLE = "whole .safetensors file"
_LENGTH = 8  # bytes that tell the header's length


def read_tensors(path: FilePath) -> dict[str, np.ndarray]:
    """The tensors of a .safetensors file by name, as arrays; bfloat16, which NumPy lacks, becomes float32.

    Raises:
        MsCoresetError: naming the file when it is damaged or holds anything else.
    """
    with reading(path, _WHOLE):
        with open_file(path) as stream:
            header = _header(stream)
            content = np.frombuffer(read_whole(stream), np.uint8)
        return {name: _in_memory(array, is_bfloat16) for name, array, is_bfloat16 in _tensors(header, content)}


def map_tensors(path: FilePath) -> dict[str, np.ndarray | StoredRows]:
    """As ``read_tensors``, but the file is memory-mapped; rows of bfloat16 become float32 when they are read.

    Raises:
        MsCoresetError: as ``read_tensors``.
    """
    with reading(path, _WHOLE), open_file(path) as stream:
        header = _header(stream)
        content = np.memmap(stream, np.uint8, "r", offset=stream.tell())
        return {name: StoredRows(f"{path}: {name}", array, lambda rows, _: widen(rows), np.float32) if is_bfloat16
                else array for name, array, is_bfloat16 in _tensors(header, content)}


def _header(stream: BufferedReader) -> dict[str, Any]:
    """{name: {"dtype", "shape", "data_offsets"}}, without the notes."""
    length, size = int.from_bytes(stream.read(_LENGTH), "little"), os.fstat(stream.fileno()).st_size
    if length > size - _LENGTH:
        raise ValueError(f"it announces a header of {length:,} bytes and has {size:,} in all")
    header = json.loads(stream.read(length), object_pairs_hook=_unique)
    header.pop("__metadata__", None)
    if not header:
        raise ValueError("it is empty")
    return header


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("its header names something twice")
    return made


def _require_side_by_side(header: dict[str, Any], size: int) -> None:
    """Check that the tensors fill the file one after the other.

    Two tensors of the same bytes could claim much more than the file holds.

    Raises:
        ValueError: if they don't.
    """
    end = 0
    for begin, after in sorted(entry["data_offsets"] for entry in header.values()):
        if begin != end or after < begin:
            raise ValueError(f"its tensors do not follow one another at {end:,}")
        end = after
    if end != size:
        raise ValueError(f"its tensors take {end:,} bytes of {size:,}")


def _tensors(header: dict[str, Any], content: np.ndarray) -> Iterator[tuple[str, np.ndarray, bool]]:
    """(name, tensor, whether it is bfloat16, given by its bits) of all tensors, as views of the content, uint8."""
    _require_side_by_side(header, len(content))
    for name, entry in header.items():
        kind, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        if kind not in _TYPES:
            raise ValueError(f"{name[:80]!r} is of type {str(kind)[:40]!r}")
        whole = all(type(side) is int and side >= 0 for side in shape)
        if not whole or end - begin != math.prod(shape) * np.dtype(_TYPES[kind]).itemsize:
            raise ValueError(f"{name[:80]!r} of shape {str(shape)[:80]} has {end - begin:,} bytes")
        yield name, content[begin:end].view(_TYPES[kind]).reshape(shape), kind == "BF16"


def _in_memory(array: np.ndarray, is_bfloat16: bool) -> np.ndarray:
    array = array.astype(array.dtype.newbyteorder("="))
    return widen(array) if is_bfloat16 else array


def widen(halves: np.ndarray) -> np.ndarray:
    """bfloat16, given by its bits, as float32: it is the upper half of the same number."""
    return (halves.astype(np.uint32) << 16).view(np.float32)
