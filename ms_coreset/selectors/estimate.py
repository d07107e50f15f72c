"""What a selection will take, before it starts: peak memory, and operations."""

import math
import numbers
from dataclasses import dataclass, replace
from typing import Any

from ms_coreset.errors import MsCoresetError
from ms_coreset.selectors.catalogue import METHODS, SCORES
from ms_coreset.selectors.memory import BLOCKS, BOUND, as_bytes, as_text, fits_as_matrices
from ms_coreset.selectors.quota import Request, budget

_LARGEST = 10**12  # samples, features or classes


@dataclass(frozen=True)
class Size:
    """What is selected from: n samples of d features in so many classes of equal size, and what of them.

    pool: samples that compete for one budget: a class if balanced, else all; k: that budget; pools: how many there are
    """

    n: int
    d: int
    classes: int
    rate: float
    balance: bool

    @property
    def of_class(self):
        """Samples of a class."""
        return math.ceil(self.n / self.classes)

    @property
    def pool(self):
        return self.of_class if self.balance else self.n

    @property
    def pools(self):
        return self.classes if self.balance else 1

    @property
    def k(self):
        return max(1, budget(self.rate, self.pool))

    @property
    def features_copy(self):
        """Bytes of the float32 features of a class that is taken out of all."""
        return 4 * self.of_class * self.d if self.classes > 1 else 0

    @property
    def pool_copy(self):
        """Bytes of the float32 features of a pool, where it is not all samples."""
        return 4 * self.pool * self.d if self.balance and self.classes > 1 else 0

    @property
    def gradients(self):
        """Bytes of a pool's last-layer gradients, factorised, and its copied inputs."""
        return self.pool_copy + 8 * self.pool * (self.d + 2 * self.classes)


@dataclass(frozen=True)
class Estimate:
    """What ``method`` will take.

    peak: bytes above the inputs; operations: multiplications and additions, of the method's stated order; memory: bytes
    it may use; note: what it will do to fit, or ""; remedies: other arguments, in words, that would fit, if it does not
    """

    method: str
    peak: int
    operations: float
    memory: int
    note: str = ""
    remedies: tuple = ()

    @property
    def fits(self):
        """Whether the peak is within ``memory``."""
        return self.peak <= self.memory

    def __str__(self):
        line = (f"{self.method}: about {as_text(self.peak)} of memory beside the data, of {as_text(self.memory)} that "
                f"it may use; {self.operations:.1e} operations")
        return f"{line}; {self.note}" if self.note else line

    def require_fit(self):
        """Raise ``MsCoresetError``, saying what would fit, unless it fits."""
        if not self.fits:
            ways = ", or ".join([*self.remedies, f"memory {as_text(self.peak).replace(' ', '')} if there is as much"])
            raise MsCoresetError(f"{self.method} needs about {as_text(self.peak)} of memory beside the data, above the "
                                 f"{as_text(self.memory)} it may use; what would fit: {ways}")


def estimate(method: str, n: int, d: int, classes: int, rate: float, balance: bool = False,
             memory: int | str | None = None, **options: Any) -> Estimate:
    """What ``select`` with these arguments will take: an ``Estimate``.

    n, d, classes: samples, features of each, and classes, taken as of equal size; logits are of as many columns
    memory: bytes it may use, see ``select``
    options: of the method

    The peak is above the inputs and is right to about 30 % where arrays, not the interpreter, are what is large.
    Raises ``MsCoresetError`` for an unknown method or option and sizes below 1.
    """
    entry = METHODS[method]
    entry.check_options(options)
    for name, value in (("n", n), ("d", d), ("classes", classes)):
        if isinstance(value, bool) or not isinstance(value, numbers.Integral) or not 1 <= value <= _LARGEST:
            raise MsCoresetError(f"{name} {value}: must be at least 1, a whole number, and at most {_LARGEST:,}")
    n, d, classes = int(n), int(d), int(classes)
    size = Size(n, d, min(classes, n), Request(rate).rate, bool(balance))
    return _estimate(entry, size, as_bytes(memory), {**entry.options, **options})


def _estimate(entry, size, memory, options):
    peak, operations, note = _work(entry.name)(size, memory, options)
    found = Estimate(entry.name, int(peak + BLOCKS + 40 * size.n), float(operations), memory, note)
    return found if found.fits else replace(found, remedies=tuple(_remedies(entry, size, memory, options)))


def _remedies(entry, size, memory, options):
    """Changes of the request that would fit."""
    def fits(**changes):
        changed = replace(size, **changes)
        peak, _, _ = _work(entry.name)(changed, memory, options)
        return peak + BLOCKS + 40 * changed.n <= memory

    if not size.balance and fits(balance=True):
        yield "balance"
    rates = [size.rate / 2**halvings for halvings in range(1, 11)]
    lower = next((rate for rate in rates if fits(rate=rate)), None)
    if lower is not None:
        yield f"rate {lower:g}"
    pools = [size.n >> halvings for halvings in range(1, 30) if size.n >> halvings >= size.classes]
    pool = next((n for n in pools if fits(n=n)), None)
    if pool is not None:
        yield f"a pool of {pool} samples"


def _work(name):
    if name in _WORK:
        return _WORK[name]
    if name in SCORES:
        return _row_by_row
    return _unknown


# Each: (size, memory, options) -> (bytes beside blocks and a few numbers a sample, operations, note).

def _row_by_row(size, memory, options):
    return 0, size.n * (size.d + size.classes), ""


def _unknown(size, memory, options):
    return 0, size.n, "what the method itself takes is not known"


def _nothing(size, memory, options):
    return 0, size.n, ""


def _moderate(size, memory, options):
    return size.features_copy, size.n * size.d, ""


def _cal(size, memory, options):
    m, copy = (size.of_class, size.features_copy) if options["within_class"] else (size.n, 0)
    return copy + 12 * m * size.d + 24 * m * size.classes, 2 * size.n * m * size.d, ""


def _herding(size, memory, options):
    return size.pool_copy + 60 * size.pool, 2 * size.pools * size.pool * size.d * size.k, ""


def _k_center(size, memory, options):
    return size.pool_copy + 8 * size.d * min(size.pool, max(256, size.pool // 16)), \
        2 * size.pools * size.pool * size.d * size.k, ""


def _contextual_diversity(size, memory, options):
    m = size.pool
    return 36 * m * size.classes, 4 * size.pools * m * size.classes * size.k, ""


def _kernel_bytes(size, options):
    if options.get("kernel") == "features":
        return size.pool_copy + 8 * size.pool * size.d + BOUND * size.pool
    return size.gradients + BOUND * size.pool


def _matrix_or_rows(size, memory, options, sizes):
    """Facility location on similarities of pools of these sizes."""
    width = size.d + size.classes
    base, products = _kernel_bytes(size, options), sum(m**2 for m in sizes) * width
    if fits_as_matrices(memory, sizes, size.d, 1 if options.get("kernel") == "features" else size.classes):
        return base + 8 * sum(m**2 for m in sizes), size.pools * products, ""
    rows = 16 << 20
    # As was seen: about seven gains for each sample, each a row.
    note = (f"the similarities, {as_text(8 * sum(m**2 for m in sizes))}, do not fit: their rows are computed whenever "
            "they are needed (greedy \"stochastic\" needs fewer, balance smaller ones)")
    evaluations = {"naive": size.k, "stochastic": -math.log(options["epsilon"])}.get(options["greedy"], 7)
    return base + rows, 2 * size.pools * products * evaluations, note


def _facility_location(size, memory, options):
    if options["neighbors"] is not None:
        m = size.pool
        return _kernel_bytes(size, options) + 40 * m * min(options["neighbors"], m), \
            2 * size.pools * m**2 * (size.d + size.classes), ""
    return _matrix_or_rows(size, memory, options, [size.pool])


def _craig(size, memory, options):
    return _matrix_or_rows(size, memory, options, [size.of_class] * (1 if size.balance else size.classes))


def _graph_cut(size, memory, options):
    return _kernel_bytes(size, options), 8 * size.n * size.d * size.classes, ""


def _log_determinant(size, memory, options):
    m, k = size.pool, size.k
    return _kernel_bytes(size, options) + 8 * m * k, \
        2 * size.pools * m * k * (size.d + size.classes + k / 2), ""


def _gradmatch(size, memory, options):
    m, k = size.pool, size.k
    return size.gradients + 8 * m * k + 24 * k**2, 2 * size.pools * m * k * (size.d + size.classes + k / 2), ""


def _glister(size, memory, options):
    m = size.pool
    steps = size.k if options["rounds"] is None else options["rounds"]
    return size.gradients + 48 * m * size.classes, 4 * size.pools * m * size.d * size.classes * steps, ""


_WORK = {"random": _nothing, "full": _nothing, "moderate": _moderate, "ccs": _row_by_row, "cal": _cal,
         "herding": _herding, "k_center": _k_center, "contextual_diversity": _contextual_diversity,
         "facility_location": _facility_location, "craig": _craig, "graph_cut": _graph_cut,
         "log_determinant": _log_determinant, "gradmatch": _gradmatch, "glister": _glister}
