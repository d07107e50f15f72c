"""MindSpore's .ckpt files, read here: its own reader trusts their shapes, and a wrong one can end the process.

A file consists of protobuf messages (MindSpore's ``checkpoint.proto``), one for each parameter or slice of a large
parameter, and maybe the text ``crc_num`` with ten bytes of their CRC-32.
"""

import math
import zlib

import numpy as np

from ms_coreset.device import require_mindspore
from ms_coreset.files import read_file, reading
from ms_coreset.kinds import FilePath
from ms_coreset.safetensors_files import widen

_TYPES = {**{kind: np.dtype(kind.lower()) for kind in ("Int8", "UInt8", "Int16", "UInt16", "Int32", "UInt32", "Int64",
                                                       "UInt64", "Float16", "Float32", "Float64")},
          "Bool": np.dtype(bool), "BFloat16": np.dtype("u2")}
_MARK, _MARKED = b"crc_num", 17  # bytes of the mark and the checksum


def read_entries(path: FilePath) -> dict[str, np.ndarray | str]:
    """The contents of a .ckpt file, by name: arrays, and texts as ``str``.

    Raises:
        MsCoresetError: naming the file when it is missing, damaged, or holds something other than arrays of numbers and
            texts; and without MindSpore, which knows the messages.
    """
    require_mindspore()
    with reading(path, "whole MindSpore checkpoint"):
        messages = _messages(_check(read_file(path)))
        return {name: _value(parts) for name, parts in messages.items()}


def _check(content: bytes) -> bytes:
    """The content without its checksum, which is compared if there is one."""
    if content[-_MARKED:][:len(_MARK)] != _MARK:
        return content
    content, found = content[:-_MARKED], int.from_bytes(content[len(_MARK) - _MARKED:], "big")
    if zlib.crc32(content) != found:
        raise ValueError("its checksum differs")
    return content


def _messages(content: bytes) -> dict[str, list]:
    """{name: the messages of its slices}, which follow each other."""
    from mindspore.train.checkpoint_pb2 import Checkpoint

    found: dict[str, list] = {}
    parsed, last = Checkpoint(), None
    parsed.ParseFromString(content)
    for entry in parsed.value:
        if entry.tag in found and entry.tag != last:
            raise ValueError(f"it holds {entry.tag[:80]!r} twice")
        if not entry.HasField("tensor"):
            raise ValueError(f"{entry.tag[:80]!r} is no array")
        found.setdefault(entry.tag, []).append(entry.tensor)
        last = entry.tag
    if not found:
        raise ValueError("it is empty")
    return found


def _value(parts: list) -> np.ndarray | str:
    """The array, or the text, of a parameter's slices."""
    content, kind, shape = b"".join(part.tensor_content for part in parts), parts[0].tensor_type, tuple(parts[0].dims)
    if kind == "str":
        return content.decode("utf-32-le")
    if kind not in _TYPES:
        raise ValueError(f"it holds an array of type {kind[:40]!r}")
    if shape == (0,) and content:
        shape = ()  # so MindSpore writes a single number
    if min(shape, default=0) < 0 or len(content) != math.prod(shape) * _TYPES[kind].itemsize:
        raise ValueError(f"an array of shape {str(shape)[:80]} has {len(content):,} bytes")
    array = np.frombuffer(content, _TYPES[kind]).reshape(shape).copy()
    return widen(array) if kind == "BFloat16" else array
