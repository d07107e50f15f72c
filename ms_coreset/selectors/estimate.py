"""Estimates, before a selection starts, of its peak memory and its operations."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.selectors.catalogue import METHODS
from ms_coreset.selectors.memory import BLOCKS, as_text
from ms_coreset.selectors.processors import on_host, products_per_second
from ms_coreset.selectors.quota import Request, budget

if TYPE_CHECKING:
    from ms_coreset.selectors.catalogue import Entry

_LARGEST = 10**12  # samples, features or classes
_MANY = 10**12  # operations that may take more than a minute


class Work(NamedTuple):
    """Memory and operations of a method itself, as its registration states them.

    Attributes:
        peak: bytes beside the data, the blocks of rows (12 MB) and the 40 bytes a sample that every method is assumed
            to need.
        operations: multiplications and additions.
        note: what it will do to fit the memory, or "".
    """

    peak: float
    operations: float
    note: str = ""


@dataclass(frozen=True)
class Size:
    """What an estimate starts from: the size of the data, the request, and the memory.

    Attributes:
        n: samples.
        d: features of each.
        columns: logits of each.
        groups: pairs (samples, how many classes have so many), of all classes that have any.
        types: ``np.dtype`` of features and of logits.
        rate: share that is kept.
        balance: whether the rate holds for each class by itself.
        memory: bytes that may be used beside the data.
    """

    n: int
    d: int
    columns: int
    groups: tuple
    types: tuple
    rate: float
    balance: bool
    memory: int

    @property
    def largest(self) -> int:
        """Samples of the largest class."""
        return max(samples for samples, _ in self.groups)

    @property
    def pools(self) -> tuple:
        """Pairs (samples that compete for one budget, how many such pools there are): a class if balanced, else all."""
        return self.groups if self.balance else ((self.n, 1),)

    @property
    def pool(self) -> int:
        """Samples of the largest pool."""
        return max(samples for samples, _ in self.pools)

    @property
    def k(self) -> int:
        """Budget of the largest pool."""
        return self.picks(self.pool)

    def picks(self, m: int) -> int:
        """Budget of a pool of m samples."""
        return max(1, budget(self.rate, m))

    def over_pools(self, operations: Callable[[int, int], float]) -> float:
        """The sum of ``operations(m, k)`` over all pools."""
        return sum(pools * operations(m, self.picks(m)) for m, pools in self.pools)

    def features_of(self, m: int) -> int:
        """Bytes of a copy of the features of m samples, in their own type."""
        return self.types[0].itemsize * m * self.d if m < self.n else 0

    def logits_of(self, m: int) -> int:
        """Bytes of a copy of the logits of m samples, in their own type."""
        return self.types[1].itemsize * m * self.columns if m < self.n else 0

    def doubles_of(self, m: int) -> int:
        """Bytes of the features of m samples as float64, where they are not that already."""
        return 0 if self.types[0] == np.float64 else 8 * m * self.d

    def directions_of(self, m: int, metric: str) -> int:
        """Bytes of the features of m samples at length 1, where a metric uses those."""
        return 8 * m * self.d if metric == "cosine" else 0

    def gradients_of(self, m: int) -> int:
        """Bytes of m samples' last-layer gradients, factorized, and of what is computed along them."""
        return self.features_of(m) + self.logits_of(m) + self.doubles_of(m) + 16 * m * self.columns

    @property
    def factorization(self) -> float:
        """Operations of a factor that grows by a row of all samples with every pick."""
        return 2 * self.over_pools(lambda m, k: m * k * (self.d + self.columns + k / 2))

    def part_of_size(self, n: int) -> Size:
        """The size of a pool of n samples, spread over the classes as evenly as their sizes allow."""
        groups, left, classes = [], n, self.classes
        for samples, times in sorted(self.groups):
            groups.append((min(samples, max(1, math.ceil(left / classes))), times))
            left, classes = left - groups[-1][0] * times, classes - times
        return replace(self, n=n, groups=tuple(groups))

    @property
    def classes(self) -> int:
        """How many classes have samples."""
        return sum(times for _, times in self.groups)


@dataclass(frozen=True)
class Estimate:
    """Estimated memory and operations of a selection.

    Attributes:
        method: name of the method.
        peak: peak memory in bytes, beyond the inputs.
        operations: number of multiplications and additions, by the order that the method states.
        memory: bytes that the selection may use.
        note: what the method will do to fit into the memory, or "".
        remedies: if it does not fit, other arguments, in words, that would.
        quicker: pairs (other arguments, in words; their operations), if there are many operations.
    """

    method: str
    peak: int
    operations: float
    _: KW_ONLY
    memory: int
    note: str = ""
    remedies: tuple = ()
    quicker: tuple = ()

    @property
    def fits(self) -> bool:
        """Whether the peak is within ``memory``."""
        return self.peak <= self.memory

    def __str__(self) -> str:
        line = (f"{self.method}: about {as_text(self.peak)} of memory beside the data, of {as_text(self.memory)} that "
                f"it may use; {self.operations:.1e} operations")
        line += _hours(self.operations)
        quicker = ", ".join(words + _hours(operations) for words, operations in self.quicker)
        return "; ".join(part for part in (line, self.note, f"quicker: {quicker}" if quicker else "") if part)

    def require_fit(self) -> None:
        """Raise ``MsCoresetError``, saying what would fit, unless it fits."""
        if not self.fits:
            ways = ", or ".join([*self.remedies, f"memory {as_text(self.peak).replace(' ', '')} if there is as much"])
            raise MsCoresetError(f"{self.method} needs about {as_text(self.peak)} of memory beside the data, above the "
                                 f"{as_text(self.memory)} it may use; what would fit: {ways}")


def estimate(method: str, n: int, d: int, *, classes: int | Sequence[int], rate: float, balance: bool = False,
             memory: int | str | None = None, dtype: Any = "float32", **options: Any) -> Estimate:
    """Estimate the memory and the operations of ``select`` with these arguments.

    The peak is memory beyond the inputs. It holds for classes in any order (if samples are sorted by class, less is
    copied), and, for a method that uses a validation set, without one. It is right to about 30 % if arrays, not the
    interpreter, take most of the memory; the actual peak is at most 1.3 times the estimate, plus 32 MB.

    Args:
        method: name or alias of the method.
        n: samples.
        d: features of each.
        classes: number of samples of each class, n in all; or the number of classes, which then count as equally large.
            There are as many logits as classes.
        rate: see ``select``.
        balance: see ``select``.
        memory: bytes that the selection may use, see ``select``.
        dtype: type of features and logits, such as "float16", or a pair: of features, and of logits.
        **options: of the method, see ``describe``.

    Returns:
        An ``Estimate``.

    Raises:
        MsCoresetError: for an unknown method, option or type, sizes below 1, and classes that do not sum to n.
    """
    entry = METHODS[method]
    entry.check_options(options)
    size = size_of(n, d, classes, request=Request(rate, bool(balance), memory=memory), dtype=dtype)
    options = {**entry.options, **options}
    found = _estimate(entry, size, options)
    if not found.fits:
        return replace(found, remedies=tuple(_remedies(entry, size, options)))
    return replace(found, quicker=tuple(_quicker(entry, size, options, found.operations)))


def size_of(n: int, d: int, classes: int | Sequence[int], *, request: Request, dtype: Any) -> Size:
    """What a selection with these arguments of ``estimate`` starts from.

    Args:
        n: samples.
        d: features of each.
        classes: how many samples each class has, or how many classes there are.
        request: rate, balance and memory.
        dtype: type of features and logits, or two.

    Returns:
        A ``Size``.

    Raises:
        MsCoresetError: for sizes below 1, an unknown type, and classes that do not sum to n.
    """
    for name, value in (("n", n), ("d", d)):
        _require_size(name, value)
    columns, groups = _groups(int(n), classes)
    return Size(int(n), int(d), columns, groups, _types(dtype), request.rate, request.balance,
                request.memory_bytes)


def with_rule(expected: Estimate, rule: Entry, size: Size, options: dict[str, Any]) -> Estimate:
    """The estimate of a score, plus what a rule takes beside it.

    Args:
        expected: of the score.
        rule: the rule.
        size: what the selection starts from.
        options: of the rule, over its defaults.

    Returns:
        An ``Estimate``.
    """
    if rule.work is None:
        return expected
    work = Work(*rule.work(size, {**rule.options, **options}))
    return replace(expected, peak=expected.peak + int(work.peak), operations=expected.operations + work.operations)


def _require_size(name: str, value: Any) -> None:
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or not 1 <= value <= _LARGEST:
        raise MsCoresetError(f"{name} {value}: must be at least 1, a whole number, and at most {_LARGEST:,}")


def _groups(n: int, classes: Any) -> tuple[int, tuple]:
    """(how many classes, ``Size.groups``) of n samples."""
    if np.ndim(classes) == 0:
        _require_size("classes", classes)
        filled = min(int(classes), n)
        return int(classes), ((math.ceil(n / filled), filled),)
    sizes = np.asarray(classes)
    if sizes.ndim != 1 or sizes.dtype.kind not in "iu" or (sizes < 0).any() or sizes.sum() != n:
        raise MsCoresetError(f"classes: must be how many there are, or how many samples each has, {n} in all")
    found = np.unique(sizes[sizes > 0], return_counts=True)
    return len(sizes), tuple(zip(*(numbers.tolist() for numbers in found), strict=True))


def _types(dtype: Any) -> tuple[np.dtype, ...]:
    pair = tuple(dtype) if isinstance(dtype, tuple | list) else (dtype, dtype)
    try:
        types = tuple(np.dtype(kind) for kind in pair if kind is not None)
    except (TypeError, ValueError, SyntaxError):
        types = ()
    if len(types) != 2 or any(kind.kind not in "fiu" for kind in types):
        raise MsCoresetError(f"dtype {dtype!r}: must be a type of numbers such as 'float32', or two, of features and "
                             "of logits")
    return types


def _estimate(entry: Entry, size: Size, options: dict[str, Any]) -> Estimate:
    """What it will take, without remedies."""
    work = Work(*(entry.work or _unknown)(size, options))
    return Estimate(entry.name, int(work.peak + BLOCKS + 40 * size.n), float(work.operations), memory=size.memory,
                    note=work.note)


def _remedies(entry: Entry, size: Size, options: dict[str, Any]) -> Iterator[str]:
    """Changes of the request that would fit."""
    def fits(changed: Size) -> bool:
        return _estimate(entry, changed, options).fits

    if not size.balance and fits(replace(size, balance=True)):
        yield "balance"
    rates = [size.rate / 2**halvings for halvings in range(1, 11)]
    lower = next((rate for rate in rates if fits(replace(size, rate=rate))), None)
    if lower is not None:
        yield f"rate {lower:g}"
    pools = [size.n >> halvings for halvings in range(1, 30) if size.n >> halvings >= size.classes]
    pool = next((n for n in pools if fits(size.part_of_size(n))), None)
    if pool is not None:
        yield f"a pool of {pool} samples"


def _quicker(entry: Entry, size: Size, options: dict[str, Any], now: float) -> Iterator[tuple[str, float]]:
    """Changes that divide the operations of ``now``, if these are many, by 4 or more, and how many are left."""
    if now < _MANY:
        return
    by_cells = options.get("kernel", "features") == "features" and options.get("neighbors") is not None
    changes: list[tuple[str, Size, dict[str, Any]]] = []
    changes += [("balance", replace(size, balance=True), {})] if not size.balance and size.classes > 1 else []
    changes += [("probes 8", size, {"probes": 8})] if by_cells and not options.get("probes", 1) else []
    changes += [("greedy stochastic", size, {"greedy": "stochastic"})] if "greedy" in options else []
    for words, changed, other in changes:
        left = _estimate(entry, changed, {**options, **other}).operations
        if left <= now / 4:
            yield words, left


def _hours(operations: float) -> str:
    """", at least 3 hours here" for many operations of this processor, else nothing."""
    if operations < _MANY or not on_host():
        return ""
    minutes = operations / products_per_second() / 60
    if minutes < 1:
        return ""
    size, unit = next((minutes / of, unit) for of, unit in ((1440, "days"), (60, "hours"), (1, "minutes"))
                      if minutes >= 2 * of or of == 1)
    return f", at least {size:,.0f} {unit} here"


def row_by_row(size: Size, options: dict[str, Any]) -> Work:
    """The ``Work`` of a score of each sample by itself, in blocks of rows."""
    return Work(0, size.n * (size.d + size.columns))


def _unknown(size: Size, options: dict[str, Any]) -> Work:
    return Work(0, size.n, "what the method itself takes is not known")
