"""State dicts of torch.save, in the current format (an archive) and that before version 1.6, read without torch.

A tensor is a view of a storage, whose numbers are outside the pickle that names it. Nothing in the pickle is run (see
``ms_coreset.pickles``), checksums are compared, and memory is allocated for what the file holds, never for what it
claims.
"""

import contextlib
import math
import os
import pickle
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.files import open_file, read_whole, reading
from ms_coreset.kinds import FilePath, Log
from ms_coreset.networks.parameter_names import WRAPPERS
from ms_coreset.pickle_files import read_stored
from ms_coreset.pickles import PLAIN, Blank, Content, Refused, Unpickler, blank_mapping
from ms_coreset.safetensors_files import widen

_TYPES = {"Float": "f4", "Double": "f8", "Half": "f2", "BFloat16": "u2", "Long": "i8", "Int": "i4", "Short": "i2",
          "Char": "i1", "Byte": "u1", "Bool": "?", "ComplexFloat": "c8", "ComplexDouble": "c16"}
_SHARED = 16  # times that all numbers of a file may be used: networks share few of their weights
_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001  # of the former format: the first two of its pickles


def read_state(path: FilePath, log: Log = lambda line: None) -> dict[str, np.ndarray]:
    """The tensors of a state dict as arrays.

    The state dict may be the whole file, or lie in a dictionary below one of ``WRAPPERS`` or another key. bfloat16,
    which NumPy lacks, becomes float32. What programs keep beside the weights, such as options and dates, is passed over
    (see ``_HARMLESS``).

    Args:
        path: the file.
        log: called with a line where the file holds several state dicts.

    Returns:
        Name in the file -> array.

    Raises:
        MsCoresetError: naming the file when it is damaged, names anything else, holds no state dict, or holds several
            and none that is to be preferred.
    """
    return read_training(path, log)[0]


def read_training(path: FilePath,
                  log: Log = lambda line: None) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], str]:
    """The state dict of ``read_state``, and what ``weights.write_checkpoint`` keeps beside it (empty for other files).

    Args:
        path: the file.
        log: called with a line where the file holds several state dicts.

    Returns:
        (arrays of the state dict, arrays that the optimizer has kept, notes).

    Raises:
        MsCoresetError: as ``read_state``.
    """
    path = Path(path)
    with reading(path, "whole torch checkpoint of plain tensors"), _advising():
        with open_file(path) as stream:
            archived = stream.peek(4).startswith(b"PK\3\4")
            content, storages = (_from_archive if archived else _from_former)(stream)
        state = _arrays(_state_in(content, path, log), storages)
        kept = content if isinstance(content.get("notes"), str) else {}
        memory = kept["optimizer"] if _is_state(kept.get("optimizer")) else {}
        return state, _arrays(memory, storages), kept.get("notes", "{}")


@contextlib.contextmanager
def _advising() -> Iterator[None]:
    """Say to what is refused which files are read."""
    try:
        yield
    except Refused as error:
        raise Refused(f"{error}; a file of torch.save(model.state_dict(), ...) is read") from error


def _arrays(state: dict[str, Any], storages: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The numbers of all tensors.

    All may be views of the same storage, so their total is limited.

    Raises:
        Refused: for many times as many numbers as the file holds.
    """
    arrays = {name: value for name, value in state.items() if not isinstance(value, _Tensor)}
    held = sum(map(len, storages.values()))
    left = _SHARED * held
    for name in state.keys() - arrays.keys():
        arrays[name] = state[name].array(storages)
        left -= arrays[name].size
        if left < 0:
            raise Refused(f"its tensors use its {held:,} numbers more than {_SHARED} times each")
    return {name: arrays[name] for name in state}


def _state_in(content: Any, path: Path, log: Log) -> dict[str, Any]:
    """The state dict to prefer of those in a file."""
    found = _states(content, set())
    if not found:
        raise MsCoresetError(f"{path} holds no state dict of tensors; a file of torch.save(model.state_dict(), ...) is "
                             "read")
    first, *others = found
    if others and first.partition(".")[0] not in WRAPPERS:
        raise MsCoresetError(f"{path} holds the state dicts {', '.join(found)}; a file of one of them is read")
    if others:
        log(f"{path}: the weights under {first} are taken; left out: {', '.join(others)}")
    return found[first]


def _states(content: Any, seen: set[int]) -> dict[str, dict[str, Any]]:
    """{keys that lead to it: state dict} of those in a file, the preferred one first.

    Under a key that is none of ``WRAPPERS`` only entries with the names of layers count.

    Args:
        content: of the file.
        seen: ids of what was looked into.
    """
    if _is_state(content):
        return {"": content}
    if not isinstance(content, dict) or id(content) in seen:
        return {}
    seen.add(id(content))
    others = [key for key, value in content.items() if isinstance(key, str) and key not in WRAPPERS
              and _is_state(value) and any("." in name for name in value)]
    return {f"{key}.{rest}".removesuffix("."): state for key in (*filter(content.__contains__, WRAPPERS), *others)
            for rest, state in _states(content[key], seen).items()}


def _is_state(content: Any) -> bool:
    return isinstance(content, dict) and len(content) > 0 and all(
        isinstance(name, str) and (isinstance(value, _Tensor) or (isinstance(value, np.ndarray)
                                                                  and value.dtype.kind in "fiub"))
        for name, value in content.items())


@dataclass(frozen=True)
class _Storage:
    """Where a tensor's numbers lie: their key in the file, their type, and how many there are."""

    key: str
    kind: str
    length: int


@dataclass(frozen=True)
class _Tensor:
    """A view of a storage, whose numbers may come later in the file."""

    storage: _Storage
    offset: int
    shape: tuple
    strides: tuple

    def array(self, storages: dict[str, np.ndarray]) -> np.ndarray:
        """The numbers, in an array of its own.

        Raises:
            Refused: for a view of more than there is.
        """
        stored = storages[self.storage.key]
        last = self.offset + sum((side - 1) * stride for side, stride in zip(self.shape, self.strides, strict=True))
        count = math.prod(self.shape)
        if count and not (0 <= self.offset <= last < len(stored) and count <= len(stored)):
            raise Refused(f"it holds a tensor of shape {str(self.shape)[:40]} in {len(stored):,} numbers")
        strides = [stride * stored.itemsize for stride in self.strides]
        view = np.lib.stride_tricks.as_strided(stored[self.offset:], self.shape, strides, writeable=False)
        return widen(view) if self.storage.kind == "BFloat16" else view.copy()


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: object) -> _Tensor:
    whole = [offset, *shape, *strides]
    if not isinstance(storage, _Storage) or len(shape) != len(strides) or not all(
            isinstance(number, int) and number >= 0 for number in whole):
        raise Refused("it holds a tensor that is no view of a storage")
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(tensor: Any, *_: object) -> Any:
    return tensor


def _ordered_dict(pairs: Any = ()) -> dict[str, Any]:
    made = dict(pairs)
    if not all(isinstance(key, str) for key in made):
        raise Refused("it holds a dictionary whose keys are no texts")
    return made


# What programs keep beside weights: instances are read as nothing, mappings as dictionaries; none is called.
_HARMLESS = {
    "argparse": ("Namespace",), "types": ("SimpleNamespace",), "decimal": ("Decimal",), "uuid": ("UUID",),
    "fractions": ("Fraction",), "collections": ("deque",),
    "datetime": ("datetime", "date", "time", "timedelta", "timezone"),
    **dict.fromkeys(("pathlib", "pathlib._local"), ("Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath",
                                                    "PureWindowsPath")),
    **dict.fromkeys(("builtins", "__builtin__"), ("list", "tuple", "set", "frozenset", "int", "long", "float",
                                                  "bool", "complex", "str", "unicode", "bytes", "bytearray", "slice",
                                                  "range", "xrange", "object")),
    "numpy": ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
              "bool_"),
    "torch": ("device", "float16", "float32", "float64", "bfloat16", "int8", "int16", "int32", "int64", "uint8", "bool",
              "complex64", "complex128"),
    "torch.serialization": ("_get_layout",),
}
_MAPPINGS = (("collections", "defaultdict"), ("collections", "Counter"), ("builtins", "dict"), ("__builtin__", "dict"),
             *((module, "AttributeDict") for module in ("pytorch_lightning.utilities.parsing",
                                                        "lightning.pytorch.utilities.parsing",
                                                        "lightning_fabric.utilities.data",
                                                        "lightning.fabric.utilities.data")))
_ADMITTED: dict[tuple[str, str], object] = {
    **{(module, name): Blank for module, names in _HARMLESS.items() for name in names},
    **dict.fromkeys(_MAPPINGS, blank_mapping), **PLAIN,
    ("collections", "OrderedDict"): _ordered_dict, ("torch", "Size"): tuple,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor, ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _rebuild_parameter,
    **{(module, f"{kind}Storage"): kind for module in ("torch", "torch.cuda") for kind in _TYPES},
}


def _storage(key: Any) -> _Storage:
    """The storage that a persistent id names; in the older format the place of a view follows it, which is empty."""
    match key:
        case ("storage", str(kind), str(name), _, int(length), *views) if kind in _TYPES and views in ([], [None]):
            return _Storage(name, kind, length)
    raise Refused("it holds a persistent id that is of no tensor's storage")


def _load(content: Content, found: dict[str, _Storage]) -> Any:
    """One pickle; the storages that it names are added to ``found``."""
    def persistent(key: Any) -> _Storage:
        storage = _storage(key)
        if found.setdefault(storage.key, storage) != storage:
            raise Refused(f"it names the storage {storage.key[:40]!r} in two ways")
        return storage

    return Unpickler(content, _ADMITTED, persistent).load()


def _from_archive(stream: BufferedReader) -> tuple[Any, dict[str, np.ndarray]]:
    size = os.fstat(stream.fileno()).st_size
    with zipfile.ZipFile(stream) as archive:
        entries = {entry.filename.partition("/")[2]: entry for entry in archive.infolist()}
        if "data.pkl" not in entries or len(entries) != len(archive.infolist()):
            raise Refused("its archive is none of torch's")

        def read(name: str) -> bytes:
            if name not in entries:
                raise Refused(f"its archive lacks {name[:40]}")
            return read_stored(archive, entries[name], size)

        order: Literal["<", ">"] = ">" if "byteorder" in entries and read("byteorder") == b"big" else "<"
        found: dict[str, _Storage] = {}
        content = _load(Content(read("data.pkl")), found)
        return content, {key: _numbers(read(f"data/{key}"), storage, order) for key, storage in found.items()}


def _from_former(stream: BufferedReader) -> tuple[Any, dict[str, np.ndarray]]:
    return _former(Content(read_whole(stream)))


def _former(file: Content) -> tuple[Any, dict[str, np.ndarray]]:
    """Five pickles, and then each storage: its length in eight bytes, and its numbers."""
    header = [Unpickler(file).load() for _ in range(3)]
    if header[:2] != [_MAGIC, _VERSION] or not isinstance(header[2], dict):
        raise pickle.UnpicklingError("its header is none of torch's")
    order: Literal["<", ">"] = "<" if header[2].get("little_endian", True) else ">"
    found: dict[str, _Storage] = {}
    storages = {}
    content = _load(file, found)
    for key in Unpickler(file).load():
        storage = found[key]
        length = int.from_bytes(file.read(8), "little" if order == "<" else "big")
        storages[key] = _numbers(file.read(length * np.dtype(_TYPES[storage.kind]).itemsize), storage, order)
    return content, storages


def _numbers(content: bytes, storage: _Storage, order: Literal["<", ">"]) -> np.ndarray:
    numbers = np.frombuffer(content, order + _TYPES[storage.kind])
    if len(numbers) != storage.length:
        raise Refused(f"its storage {storage.key[:40]!r} holds {len(numbers):,} numbers, not {storage.length:,}")
    return numbers.astype(numbers.dtype.newbyteorder("="), copy=False)
