"""Targets that do what must not be done, so that a test sees the campaign notice it."""

import ctypes
import time

import numpy as np

from .readers import Reader, put


def _whole(root):
    put(root / "file", b"x")


def _read_then(bad):
    """Reads well the first time, when the whole file is read; then does ``bad``."""
    asked = []

    def read(root):
        asked.append(root)
        return bad(root) if len(asked) > 1 else "right"
    return read


def _raise(root):
    raise KeyError("what no one expects")


def _pages(root):
    raise ValueError("page\n" * 3)


READERS = tuple(Reader(name, _whole, ("file",), _read_then(bad), sealed=True, imports=()) for name, bad in {
    "ends": lambda root: ctypes.string_at(0),
    "hangs": lambda root: time.sleep(600),
    "takes memory": lambda root: np.ones(1 << 28).sum(),
    "writes elsewhere": lambda root: put(root.parent / "found", b"x") and "right",
    "raises": _raise,
    "answers wrong": lambda root: "wrong",
    "prints pages": _pages,
}.items())
