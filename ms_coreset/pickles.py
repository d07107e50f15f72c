"""Read pickles without running anything in them: NumPy arrays and plain containers, or a refusal by name.

Python's own unpickler calls what a pickle names. Here every operation that can reach beyond plain values is refused or
replaced, and arrays are made from their types and bytes alone. This is built on the unpickler that is written in
Python: the one in C allocates the memory that a length claims before it checks whether the file holds as much.
"""

import math
import pickle
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NoReturn

import numpy as np

from ms_coreset.terminal import one_line

_KINDS = "biufcSU"  # of array types: no Python objects, no records
_BEYOND = ("OBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER", "EMPTY_SET",
           "ADDITEMS", "FROZENSET")


class Refused(pickle.UnpicklingError):
    """A pickle asks for something that is not admitted; the message says what."""


class _Type:
    """A NumPy type whose byte order may still be set: pickles set it after they make the type."""

    def __init__(self, code: Any, align: bool = False, copy: bool = False) -> None:
        made = np.dtype(code) if isinstance(code, str) else None
        if made is None or made.kind not in _KINDS:
            raise Refused(f"it holds an array of type {_show(code)}; only numbers and texts are admitted")
        self.made = made

    def set_state(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">"):
            self.made = np.dtype(state[1] + self.made.str[1:])


class Blank:
    """Stands for an instance of a harmless class that is not needed; all its content is dropped."""

    def __init__(self, *_: object) -> None:
        pass

    def append(self, *_: object) -> None:
        """What a pickle adds to a list."""

    extend = append


def blank_mapping(*_: object) -> dict:
    """Stands for a harmless mapping; its items are kept, because pickles set them after making the mapping."""
    return {}


def _array(*_: object) -> NoReturn:
    """Stands for numpy.ndarray, which pickles only pass to ``_reconstruct``; a call would allocate memory."""
    raise Refused("it calls numpy.ndarray")


def _reconstruct(kind: Any, shape: Any, code: Any) -> np.ndarray:
    """An empty array; type and content follow. Another shape would allocate memory without content."""
    if kind is not _array or tuple(shape) != (0,):
        raise Refused(f"it makes an array of shape {_show(shape)} without content")
    return np.empty(0, np.uint8)


def _require_bytes(raw: Any, kind: _Type, shape: tuple[int, ...]) -> bytes:
    """The bytes of an array; raises ``Refused`` unless their number fits its shape."""
    raw = raw.encode("latin1") if isinstance(raw, str) else raw  # Python 2's byte strings are read as texts
    if not isinstance(raw, bytes | bytearray):
        raise Refused(f"it holds an array whose content is a {type(raw).__name__}")
    sides = all(isinstance(side, int) and side >= 0 for side in shape)
    if not sides or len(raw) != math.prod(shape) * kind.made.itemsize:
        raise Refused(f"it holds an array of shape {_show(shape)} in {len(raw):,} bytes")
    return bytes(raw)


def _show(value: object) -> str:
    return repr(value)[:40]


def _from_bytes(raw: Any, kind: _Type, shape: tuple[int, ...], order: Any = "C") -> np.ndarray:
    raw = _require_bytes(raw, kind, shape)
    return np.frombuffer(raw, kind.made).reshape(shape, order=order) if raw else np.empty(shape, kind.made)


def _scalar(kind: _Type, raw: Any) -> Any:
    return _from_bytes(raw, kind, ())[()]


def _encode(text: str, encoding: Any) -> bytes:
    """How Python 3 writes bytes in protocols before 3."""
    if encoding != "latin1":
        raise Refused(f"it encodes a text by {_show(encoding)}")
    return text.encode("latin1")


_CORES = ("core", "_core")  # of NumPy 1 and NumPy 2
PLAIN: dict[tuple[str, str], Callable] = {
    ("numpy", "ndarray"): _array, ("numpy", "dtype"): _Type, ("_codecs", "encode"): _encode,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in _CORES},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in _CORES},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _from_bytes for core in _CORES},
}


class Content:
    """Bytes that are read from the start; reading more than are left is an error and allocates nothing."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    def read(self, length: int) -> bytes:
        end = self._at + length
        if length < 0 or end > len(self._content):
            raise EOFError(f"it announces {length:,} bytes where {len(self._content) - self._at:,} are left")
        start, self._at = self._at, end
        return self._content[start:end]

    def readline(self) -> bytes:
        end = self._content.find(b"\n", self._at) + 1
        return self.read((end or len(self._content)) - self._at)


class Unpickler(pickle._Unpickler):
    """Reads one pickle from a ``Content``, which may hold several.

    Args:
        admitted: (module, name) -> what is used in its place.
        persistent: a function for objects that torch stores apart, or None.

    Raises:
        Refused: for anything that is not admitted, which it names. A damaged pickle may raise any exception.
    """

    pop_mark: Callable[[], list]  # of the class below
    dispatch: ClassVar[dict[int, Callable]] = dict(pickle._Unpickler.dispatch)

    def __init__(self, content: Content, admitted: Mapping[tuple[str, str], object] = PLAIN,
                 persistent: Callable[[Any], Any] | None = None) -> None:
        super().__init__(content, encoding="latin1")
        self.read, self.readline = content.read, content.readline
        self._admitted, self._persistent = admitted, persistent

    def load(self) -> Any:
        self.metastack: list[list] = []
        self.stack: list = []
        self.append = self.stack.append
        read, dispatch = self.read, self.dispatch
        try:
            while True:
                dispatch[read(1)[0]](self)
        except pickle._Stop as stop:  # type: ignore[attr-defined]
            return stop.value

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._admitted:
            raise Refused(f"it names {one_line(f'{module}.{name}'):.200}; only NumPy arrays and plain containers are "
                          "admitted")
        return self._admitted[module, name]

    def persistent_load(self, key: Any) -> Any:
        if self._persistent is None:
            raise Refused("it holds a persistent id, such as of torch's tensors; only NumPy arrays and plain "
                          "containers are admitted")
        return self._persistent(key)

    def _instance(self) -> None:
        module, name = (self.readline()[:-1].decode("latin1") for _ in range(2))
        self.find_class(module, name)
        raise Refused(f"it makes an instance of {module}.{name}")

    def _build(self) -> None:
        """Set the content of arrays and types; attributes that torch sets on a dictionary are dropped."""
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, np.ndarray):
            _, shape, kind, columns_first, raw = state
            target.__setstate__((1, shape, kind.made, bool(columns_first), _require_bytes(raw, kind, shape)))
        elif isinstance(target, _Type):
            target.set_state(state)
        elif not isinstance(target, dict | Blank):
            raise Refused(f"it sets the state of a {type(target).__name__}")

    def _new_object(self) -> None:
        """An instance made without ``__init__``; only of ``Blank`` classes."""
        self.stack.pop()
        kind = self.stack.pop()
        if kind is not Blank and kind is not blank_mapping:
            raise Refused("it uses NEWOBJ; only NumPy arrays and plain containers are admitted")
        self.append(kind())

    def _set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        _set_items(self.stack[-1], [key, value])

    def _set_items(self) -> None:
        items = self.pop_mark()
        _set_items(self.stack[-1], items)

    def _dictionary(self) -> None:
        made: dict = {}
        _set_items(made, self.pop_mark())
        self.append(made)

    def _frame(self) -> None:
        """Read the content of a frame as if there were no frame."""
        self.read(8)

    def _bytearray(self) -> None:
        self.append(bytearray(self.read(int.from_bytes(self.read(8), "little"))))

    dispatch[pickle.FRAME[0]] = _frame
    dispatch[pickle.INST[0]] = _instance
    dispatch[pickle.NEWOBJ[0]] = _new_object
    dispatch[pickle.BUILD[0]] = _build
    dispatch[pickle.SETITEM[0]] = _set_item
    dispatch[pickle.SETITEMS[0]] = _set_items
    dispatch[pickle.DICT[0]] = _dictionary
    dispatch[pickle.BYTEARRAY8[0]] = _bytearray


def _set_items(target: Any, items: list) -> None:
    if type(target) is not dict:
        raise Refused(f"it sets items of a {type(target).__name__}")
    for key in items[::2]:
        # To look up a tuple, Python descends into it, as deep as it goes: a deep one would end the process.
        if not isinstance(key, str | int | float | bytes | Blank | None):
            raise Refused(f"it has a {type(key).__name__} as a key")
    target.update(zip(items[::2], items[1::2], strict=True))


def _refuser(name: str) -> Callable:
    def refuse(unpickler: pickle._Unpickler) -> NoReturn:
        raise Refused(f"it uses {name}; only NumPy arrays and plain containers are admitted")
    return refuse


for _name in _BEYOND:
    Unpickler.dispatch[getattr(pickle, _name)[0]] = _refuser(_name)
