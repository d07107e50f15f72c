"""What a selection will take, before it starts: peak memory, and operations."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.selectors.catalogue import METHODS, SCORES
from ms_coreset.selectors.kernels import quick_type
from ms_coreset.selectors.memory import BLOCKS, BOUND, as_bytes, as_text, fits_converted, matrix_bytes
from ms_coreset.selectors.quota import Request, budget

if TYPE_CHECKING:
    from ms_coreset.selectors.catalogue import Entry

_LARGEST = 10**12  # samples, features or classes
Work = Callable[["Size", int, dict[str, Any]], tuple[float, float, str]]  # see _WORK
ROWS = 16 << 20  # of rows that are computed whenever they are needed


@dataclass(frozen=True)
class Size:
    """What is selected from: n samples of d features and so many logits (``columns``), and what of them.

    groups: (samples, how many classes have so many), of all classes that have any
    types: ``np.dtype`` of features and of logits
    """

    n: int
    d: int
    columns: int
    groups: tuple
    types: tuple
    rate: float
    balance: bool

    @property
    def largest(self) -> int:
        """Samples of the largest class."""
        return max(samples for samples, _ in self.groups)

    @property
    def pools(self) -> tuple:
        """Samples that compete for one budget, and how many such pools there are: a class if balanced, else all."""
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
        """Bytes of the features of m samples that are taken out of all, in their own type."""
        return self.types[0].itemsize * m * self.d if m < self.n else 0

    def logits_of(self, m: int) -> int:
        """Bytes of the logits of m samples that are taken out of all, in their own type."""
        return self.types[1].itemsize * m * self.columns if m < self.n else 0

    def doubles_of(self, m: int) -> int:
        """Bytes of the features of m samples as float64, where they are not that already."""
        return 0 if self.types[0] == np.float64 else 8 * m * self.d

    def gradients_of(self, m: int) -> int:
        """Bytes of m samples' last-layer gradients, factorised, and of what is computed along them."""
        return self.features_of(m) + self.logits_of(m) + self.doubles_of(m) + 16 * m * self.columns

    def drawn(self, n: int) -> Size:
        """The size of a pool of n samples, as even over the classes as their sizes allow."""
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
    """What ``method`` will take.

    peak: bytes above the inputs; operations: multiplications and additions, of the method's stated order; memory: bytes
    it may use; note: what it will do to fit, or ""; remedies: other arguments, in words, that would fit, if it does not
    """

    method: str
    peak: int
    operations: float
    _: KW_ONLY
    memory: int
    note: str = ""
    remedies: tuple = ()

    @property
    def fits(self) -> bool:
        """Whether the peak is within ``memory``."""
        return self.peak <= self.memory

    def __str__(self) -> str:
        line = (f"{self.method}: about {as_text(self.peak)} of memory beside the data, of {as_text(self.memory)} that "
                f"it may use; {self.operations:.1e} operations")
        return f"{line}; {self.note}" if self.note else line

    def require_fit(self) -> None:
        """Raise ``MsCoresetError``, saying what would fit, unless it fits."""
        if not self.fits:
            ways = ", or ".join([*self.remedies, f"memory {as_text(self.peak).replace(' ', '')} if there is as much"])
            raise MsCoresetError(f"{self.method} needs about {as_text(self.peak)} of memory beside the data, above the "
                                 f"{as_text(self.memory)} it may use; what would fit: {ways}")


def estimate(method: str, n: int, d: int, *, classes: int | Sequence[int], rate: float, balance: bool = False,
             memory: int | str | None = None, dtype: Any = "float32", **options: Any) -> Estimate:
    """What ``select`` with these arguments will take: an ``Estimate``.

    n, d: samples, and features of each
    classes: how many samples each class has, n in all; or how many classes there are, which are then taken as of equal
        size. Logits are of as many columns
    memory: bytes it may use, see ``select``
    dtype: type of features and logits, such as "float16", or two: of features, and of logits
    options: of the method

    The peak is above the inputs, for classes in any order (sorted by class, less is copied), and for a method that aims
    at a validation set without one. It is right to about 30 % where arrays, not the interpreter, are what is large, and
    no more than 1.3 times it is taken, and 32 MB.
    Raises ``MsCoresetError`` for an unknown method, option or type, sizes below 1, and classes that do not sum to n.
    """
    entry = METHODS[method]
    entry.check_options(options)
    for name, value in (("n", n), ("d", d)):
        _require_size(name, value)
    columns, groups = _groups(int(n), classes)
    size = Size(int(n), int(d), columns, groups, _types(dtype), Request(rate).rate, bool(balance))
    return _estimate(entry, size, as_bytes(memory), {**entry.options, **options})


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


def _estimate(entry: Entry, size: Size, memory: int, options: dict[str, Any]) -> Estimate:
    peak, operations, note = _work(entry.name)(size, memory, options)
    found = Estimate(entry.name, int(peak + BLOCKS + 40 * size.n), float(operations), memory=memory, note=note)
    return found if found.fits else replace(found, remedies=tuple(_remedies(entry, size, memory, options)))


def _remedies(entry: Entry, size: Size, memory: int, options: dict[str, Any]) -> Iterator[str]:
    """Changes of the request that would fit."""
    def fits(changed: Size) -> bool:
        peak, _, _ = _work(entry.name)(changed, memory, options)
        return peak + BLOCKS + 40 * changed.n <= memory

    if not size.balance and fits(replace(size, balance=True)):
        yield "balance"
    rates = [size.rate / 2**halvings for halvings in range(1, 11)]
    lower = next((rate for rate in rates if fits(replace(size, rate=rate))), None)
    if lower is not None:
        yield f"rate {lower:g}"
    pools = [size.n >> halvings for halvings in range(1, 30) if size.n >> halvings >= size.classes]
    pool = next((n for n in pools if fits(size.drawn(n))), None)
    if pool is not None:
        yield f"a pool of {pool} samples"


def _work(name: str) -> Work:
    if name in _WORK:
        return _WORK[name]
    if name in SCORES:
        return _row_by_row
    return _unknown


# Each: (size, memory, options) -> (bytes beside blocks and a few numbers a sample, operations, note).

def _row_by_row(size: Size, memory: int, options: dict[str, Any]) -> tuple[float, float, str]:
    return 0, size.n * (size.d + size.columns), ""


def _unknown(size: Size, memory: int, options: dict[str, Any]) -> tuple[float, float, str]:
    return 0, size.n, "what the method itself takes is not known"


def _places_only(size: Size, memory: int, options: dict[str, Any]) -> tuple[float, float, str]:
    """24 bytes a sample; with scores and their order it would be the 40 of ``_estimate``."""
    return -16 * size.n, size.n, ""


def _unit(m: int, size: Size, options: dict[str, Any]) -> int:
    """Bytes of the features of m samples at length 1, where a method looks at those."""
    return 8 * m * size.d if options["metric"] == "cosine" else 0


def _moderate(size: Size, memory: int, options: dict[str, Any]) -> tuple[float, float, str]:
    doubles = 8 * size.largest * size.d if options["center"] == "geometric_median" else 0
    return size.features_of(size.largest) + _unit(size.largest, size, options) + doubles, size.n * size.d, ""


def _extrapolated(size: Size, memory: int, options: dict[str, Any]) -> tuple[float, float, str]:
    """The scored samples as float64 around their mean; how many these are is not known before, all at most."""
    copies = 2 if options["metric"] == "euclidean" else 3
    return 8 * copies * size.n * size.d, 2 * size.n**2 * size.d, ""


def _gm_matching(size: Size, memory: int, options: dict[str, Any]) -> tuple[float, float, str]:
    """Within each class, balanced or not."""
    operations = sum(times * m * (size.picks(m) + 20) for m, times in size.groups)  # some 20 steps to the median
    return size.features_of(size.largest) + 8 * size.largest * (size.d + 4), 2 * size.d * operations, ""


def _cal(size: Size, memory: int, options: dict[str, Any]) -> tuple[float, float, str]:
    groups = size.groups if options["within_class"] else ((size.n, 1),)
    m = max(samples for samples, _ in groups)
    pairs = sum(times * samples**2 for samples, times in groups)
    arrays = size.features_of(m) + _unit(m, size, options) + 4 * m * size.d + 16 * m * size.columns + size.logits_of(m)
    return arrays, 2 * pairs * size.d, ""


def _herding(size: Size, memory: int, options: dict[str, Any]) -> tuple[float, float, str]:
    m, kind, note = size.pool, quick_type(size.types[0]), ""
    features = size.features_of(m) if kind == size.types[0] else kind.itemsize * m * size.d
    if kind != size.types[0] and not fits_converted(memory, size.n, m, kind.itemsize * size.d):
        features = size.features_of(m)
        note = f"the features as {kind}, {as_text(kind.itemsize * m * size.d)}, do not fit: converted for every pick"
    return features + _unit(m, size, options) + 60 * m, 2 * size.d * size.over_pools(lambda m, k: m * k), note


def _short_list(m: int) -> int:
    return min(m, max(256, m // 16))


def _k_center(size: Size, memory: int, options: dict[str, Any]) -> tuple[float, float, str]:
    listed = 8 * size.d * _short_list(size.pool)
    features = size.features_of(size.pool) + _unit(size.pool, size, options)
    return features + listed, 2 * size.d * size.over_pools(lambda m, k: m * k), ""


def _contextual_diversity(size: Size, memory: int, options: dict[str, Any]) -> tuple[float, float, str]:
    peak = (16 * size.pool + 32 * _short_list(size.pool)) * size.columns
    return peak, 4 * size.columns * size.over_pools(lambda m, k: m * k), ""


def _kernel_bytes(size: Size, options: dict[str, Any]) -> int:
    """Of a cosine, which has vectors of its own in float64."""
    m = size.pool
    if options["kernel"] == "features":
        return size.features_of(m) + 8 * m * size.d + BOUND * m
    return size.features_of(m) + 8 * m * (size.d + 2 * size.columns) + BOUND * m


def _matrix_or_rows(size: Size, memory: int, options: dict[str, Any], base: int, together: Iterable[tuple[int, int]],
                    groups: Iterable[tuple[int, int]]) -> tuple[float, float, str]:
    """Facility location within groups of samples, (samples, how many), of which some are held together."""
    width, pairs = size.d + size.columns, sum(times * m**2 for m, times in groups)
    columns = 1 if options.get("kernel") == "features" else size.columns
    matrices = 8 * sum(times * m**2 for m, times in together)
    if sum(times * matrix_bytes(m, size.d, columns) for m, times in together) + BLOCKS <= memory:
        return base + matrices, pairs * width, ""
    # As was seen: about seven gains for each sample, each a row.
    note = (f"the similarities, {as_text(matrices)}, do not fit: their rows are computed whenever they are needed "
            "(greedy \"stochastic\" needs fewer, balance smaller ones)")
    evaluations = {"naive": size.k, "stochastic": -math.log(options["epsilon"])}.get(options["greedy"], 7)
    return base + ROWS, 2 * pairs * width * evaluations, note


def _facility_location(size: Size, memory: int, options: dict[str, Any]) -> tuple[float, float, str]:
    m, base = size.pool, _kernel_bytes(size, options)
    if options["neighbors"] is None:
        return _matrix_or_rows(size, memory, options, base, ((m, 1),), size.pools)
    pairs = size.over_pools(lambda m, k: m**2)
    return base + 32 * m * min(options["neighbors"], m), 2 * pairs * (size.d + size.columns), ""


def _craig(size: Size, memory: int, options: dict[str, Any]) -> tuple[float, float, str]:
    m = size.pool
    base = size.gradients_of(m) + BOUND * m
    if not size.balance and size.classes > 1:
        base += size.types[0].itemsize * m * size.d  # the features of each class
    together = ((m, 1),) if size.balance else size.groups
    return _matrix_or_rows(size, memory, options, base, together, size.groups)


def _graph_cut(size: Size, memory: int, options: dict[str, Any]) -> tuple[float, float, str]:
    return _kernel_bytes(size, options), 8 * size.n * size.d * size.columns, ""


def _growing(size: Size) -> float:
    """Operations of a factor that grows by a row of all samples with every pick."""
    return 2 * size.over_pools(lambda m, k: m * k * (size.d + size.columns + k / 2))


def _log_determinant(size: Size, memory: int, options: dict[str, Any]) -> tuple[float, float, str]:
    return _kernel_bytes(size, options) + 8 * size.pool * size.k, _growing(size), ""


def _gradmatch(size: Size, memory: int, options: dict[str, Any]) -> tuple[float, float, str]:
    m, k = size.pool, size.k
    return size.gradients_of(m) + 8 * m * k + 24 * k**2, _growing(size), ""


def _glister(size: Size, memory: int, options: dict[str, Any]) -> tuple[float, float, str]:
    rounds = options["rounds"]
    operations = size.over_pools(lambda m, k: m * (k if rounds is None else rounds))
    return size.gradients_of(size.pool) + 32 * size.pool * size.columns, 4 * size.d * size.columns * operations, ""


_WORK = {"random": _places_only, "full": _places_only, "moderate": _moderate, "ccs": _row_by_row, "cal": _cal,
         "extrapolated": _extrapolated,
         "herding": _herding, "gm_matching": _gm_matching, "k_center": _k_center,
         "contextual_diversity": _contextual_diversity, "facility_location": _facility_location, "craig": _craig,
         "graph_cut": _graph_cut, "log_determinant": _log_determinant, "gradmatch": _gradmatch, "glister": _glister}
