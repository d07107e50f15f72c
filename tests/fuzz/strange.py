"""Values that do not belong where they are put: of other types, shapes and sizes than are asked for."""

import datetime
import decimal
import fractions
from pathlib import Path

import numpy as np

PLAIN = (None, True, False, -1, 0, 1, 2, 3, 7, 10**12, 2**63, -2**63, 2**70, 0.5, -0.5, 1e-320, 1e308, float("nan"),
         float("inf"), -float("inf"), "", "x", "a\nb", "\0", "naïve \udcff", "x" * 1000, "1", "nan", "../..", "/", "~",
         [], [[]], [None], [1, "a"], [[1, 2], [3]], {}, {"a": 1}, {1: {2: [3]}}, ["x"] * 100)
_DTYPES = ("i1", "u1", "i4", "u8", "i8", "f2", "f4", "f8", ">i8", "c16", "?", "U3", "S2", "M8[s]", "O")


def plain(rng):
    """A value that JSON, YAML or a pickle can hold, without arrays."""
    return PLAIN[rng.randint(len(PLAIN))]


def array(rng):
    """A small array of any type and shape, with the values that upset arithmetic among its own."""
    shape = tuple(rng.randint(0, 4) if rng.randint(4) else 5 for _ in range(rng.randint(0, 5)))
    dtype = np.dtype(_DTYPES[rng.randint(len(_DTYPES))])
    if dtype.kind == "O":
        made = np.empty(shape, object)
        made.fill(plain(rng) if rng.randint(2) else 1)
        return made
    if dtype.kind in "US":
        return np.full(shape, "ab", dtype)
    if dtype.kind in "Mc?":
        return np.ones(shape, dtype)
    made = rng.randint(-3, 100, shape)
    if dtype.kind == "f":
        made = made.astype(dtype)
        if made.size and rng.randint(2):
            made.flat[rng.randint(made.size)] = (np.nan, np.inf, -np.inf, 6e4)[rng.randint(4)]
        return made
    return made.astype(dtype)


def nearly(rng, wanted):
    """An array that is right but for one thing: its type, its shape, its order in memory, or one of its values."""
    wanted = np.asarray(wanted)
    kind = rng.randint(9)
    if kind == 0:
        kinds = ("f4", "f8", "i1", "u1", "i8", "?", "c8", "O", "U4") if wanted.dtype.kind in "biuf" else ("O", "S")
        return wanted.astype(kinds[rng.randint(len(kinds))])
    if kind == 1:
        return wanted[:rng.randint(len(wanted) + 1)] if wanted.ndim else wanted[None]
    if kind == 2:
        return wanted[..., None]
    if kind == 3:
        return wanted.reshape(-1)
    if kind == 4:
        return np.repeat(wanted, 2, axis=0) if wanted.ndim else wanted
    if kind == 5:
        return wanted[::-1] if wanted.ndim else wanted
    if kind == 6:
        return wanted.tolist()
    spoilt = kind == 7 and wanted.dtype.kind in "fiu"
    changed = wanted.astype(float) if spoilt else wanted.copy()
    if changed.size:
        changed.flat[rng.randint(changed.size)] = np.nan if spoilt else (0, 1, 100)[rng.randint(3)]
    return changed


class Odd:
    """An object of no kind that anything here knows."""


def anything(rng):
    """A value of any type at all."""
    kind = rng.randint(4)
    if kind == 0:
        return array(rng)
    if kind < 3:
        return plain(rng)
    others = (Odd(), Odd, len, b"", b"\xff\0", (), (1, 2), {1, 2}, range(3), iter([1]), 1j, Ellipsis, np.nan,
              np.float32(0.5), np.int64(-1), np.uint64(2**64 - 1), np.bool_(True), np.datetime64("2020-01-01"),
              decimal.Decimal("0.5"), fractions.Fraction(1, 3), datetime.date(2020, 1, 1), Path("nowhere"),
              np.broadcast_to(np.float32(1), (10**6, 10**6)), np.ma.masked_array([1, 2], [0, 1]),
              np.zeros(2, [("a", "i4"), ("b", "f8")]), memoryview(b"ab"), slice(None), NotImplemented)
    return others[rng.randint(len(others))]
