"""What is known of each sample: the arrays that selectors see, and their checks."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, InitVar, dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np

from ms_coreset.arrays import StoredRows, are_probabilities, as_array, logits_of
from ms_coreset.errors import MsCoresetError, MsCoresetWarning, require_kind
from ms_coreset.randomness import hold_out

BLOCK_NUMBERS = 4 << 20  # that are looked at together, whether they can be used
ROWS_BYTES = 4 << 20  # of a block of rows in float64: it stays in the cache
LARGEST_FEATURE, SMALLEST_FEATURE = 1e15, 1e-6  # squares are finite in single precision
LARGEST_GAP = 1e300  # between logits of a sample
FIELDS = ("features", "logits", "dynamics", "boundary", "imported", "runs")  # that tell of each sample, as labels do
EXTRACTED = ("features", "logits")  # that a network tells in one pass
_HOW = {
    "features": "mc.extract(network, split, need=('features',)), or pass your own (n, d) array",
    "logits": "mc.extract(network, split, need=('logits',)), or pass your own (n, C) array (logits or probabilities)",
    "dynamics": "mc.train(..., record=...).dynamics, or TrainingDynamics.load(folder)",
    "boundary": "mc.deepfool_distances(network, split)",
    "imported": "mc.Evidence(labels, imported=...), in a command by select --scores-from FILE",
    "runs": "one Evidence per network: Evidence(labels, runs=(first, second, ...))",
    "validation": "Evidence of held-out samples from the same network",
}


@dataclass(frozen=True)
class Evidence:
    """Arrays about n samples; only labels must be there.

    labels: (n,) integers, any values; booleans are 0 and 1, and floats will do that are whole numbers (of pandas, say).
        What compares them with logits needs 0 .. C-1, the others take them as groups
    features: (n, d), the input of a network's last dense layer
    logits: (n, C), before the softmax
    dynamics: ``TrainingDynamics``
    boundary: (n,), squared distance to the decision boundary (DeepFool)
    imported: (n,), scores made elsewhere, high = keep, NaN where a sample has none
    runs: ``Evidence`` of the same samples, one per network, for scores that average over several
    validation: ``Evidence`` of other samples from the same network
    probabilities: (n, C), instead of logits, which become log p. Rows lie in [0, 1] and sum to 1; for p = 0 see
        ``arrays.logits_of``

    Arrays may come from anywhere: NumPy, memory-mapped or not, torch or MindSpore (also of bfloat16 or with a
    gradient), pandas, lists. They are not copied where that is not needed; of h5py's and zarr's only the rows in use
    are read, when they are used (``arrays.StoredRows``).

    Raises ``MsCoresetError`` when shapes do not fit together, for what is not numbers, and for masked and sparse
    arrays. Whether numbers are finite is looked at by ``require``, when they are needed.
    """

    labels: np.ndarray
    features: np.ndarray | None = None
    logits: np.ndarray | None = None
    _: KW_ONLY
    dynamics: object | None = None
    boundary: np.ndarray | None = None
    imported: np.ndarray | None = None
    runs: tuple[Evidence, ...] | None = None
    validation: Evidence | None = None
    probabilities: InitVar[Any] = None

    def __post_init__(self, probabilities: Any) -> None:
        given: dict[str, Any] = {"labels": _as_labels(self.labels), "runs": _as_runs(self.runs)}
        n = len(given["labels"])
        if probabilities is not None:
            if self.logits is not None:
                raise MsCoresetError("logits and probabilities: give one of them, the other follows")
            given["logits"] = logits_of(_as_numbers("probabilities", probabilities, (n, None)))
        for name, shape in (("features", (n, None)), ("logits", (n, None)), ("boundary", (n,)),
                            ("imported", (n,))):
            if getattr(self, name) is not None:
                given[name] = _as_numbers(name, getattr(self, name), shape)
        for name, value in given.items():
            object.__setattr__(self, name, value)
        require_kind("validation", self.validation, Evidence, type(None))
        for run in self.runs or ():
            require_kind("runs", run, Evidence)
            if not np.array_equal(run.labels, self.labels):
                raise MsCoresetError("every run must be of the same samples: their labels differ")

    def __len__(self) -> int:
        return len(self.labels)

    def hold_out(self, share: float, seed: int = 0) -> tuple[np.ndarray, Evidence]:
        """(places (m,), ``Evidence`` of these m samples with the others as its ``validation``).

        ``round(share * n)`` samples are held out, drawn by the seed: those that training with a validation share of
        this size and seed does not train on. Labels, features and logits go along, nothing else.
        """
        rest, held_out = hold_out(len(self), share, seed)
        if not len(held_out):
            raise MsCoresetError(f"held-out share {share}: none of {len(self)} samples; give a larger share")
        return rest, replace(self.part(rest, EXTRACTED), validation=self.part(held_out, EXTRACTED))

    def part(self, rows: np.ndarray, fields: Iterable[str] = FIELDS) -> Evidence:
        """``Evidence`` of the samples ``rows`` (m,): the labels and ``fields``; the validation set is everybody's.

        Of samples that lie together, in their order, arrays are views, not copies.
        """
        found = {name: _part(getattr(self, name), rows) for name in fields}
        return Evidence(take(self.labels, rows), validation=self.validation, **found)

    def require(self, needs: Iterable[str], method: str, rows: slice = slice(None)) -> None:
        """Raise ``MsCoresetError`` unless every field in ``needs`` is there, and finite in the samples ``rows``.

        Features must also be of a size that distances can be told apart by. Logits that look like probabilities are
        warned of.
        """
        for name in needs:
            value = getattr(self, name)
            if value is None:
                raise MsCoresetError(f"{method} needs {name}, which this evidence lacks; get it with {_HOW[name]}")
            if name in ("features", "logits", "boundary"):
                _require_finite(value, name, range(len(self))[rows])
            if name == "features":
                _require_measurable(value, range(len(self))[rows])
            if name == "logits":
                _warn_of_probabilities(value, range(len(self))[rows])

    def require_label_columns(self, method: str) -> None:
        """Raise ``MsCoresetError`` unless labels are columns of the logits, with which ``method`` compares them."""
        if self.logits is not None:
            require_label_columns(self.labels, self.logits.shape[1], f" that {method} compares them with")


def require_label_columns(labels: np.ndarray, classes: int, why: str = "") -> None:
    """Raise ``MsCoresetError`` unless labels (n,) are 0 to ``classes`` - 1."""
    wrong = (labels < 0) | (labels >= classes)
    if wrong.any():
        sample = int(np.argmax(wrong))
        raise MsCoresetError(f"labels must be 0 to {classes - 1}, the columns of logits{why}; that of sample {sample} "
                             f"is {labels[sample]}")


def _as_labels(given: Any) -> np.ndarray:
    """``given`` as integers (n,)."""
    labels = np.asarray(as_array("labels", given))
    whole = labels
    flat = labels.ndim == 1  # else it may be a view of any size, which is not to be written out
    if flat and (labels.dtype.kind == "b" or (labels.dtype.kind == "f" and (abs(labels) < np.float64(2**53)).all())):
        whole = labels.astype(np.int64)
    if not flat or not len(labels) or whole.dtype.kind not in "iu" or (whole != labels).any():
        raise MsCoresetError(f"labels must be a non-empty (n,) array of integers, got {labels.dtype} of shape "
                             f"{labels.shape}{_odd(labels, whole)}")
    return whole


def _odd(labels: np.ndarray, whole: np.ndarray) -> str:
    """The first of the labels that is no whole number, in words."""
    if labels.ndim != 1 or labels.dtype.kind != "f" or not len(labels):
        return ""
    sample = int(np.argmax((whole != labels) | ~(abs(labels) < 2**53)))
    return f": that of sample {sample} is {labels[sample]}"


def _as_runs(given: Any) -> tuple[Evidence, ...] | None:
    require_kind("runs", given, list, tuple, type(None))
    if given is not None and not given:
        raise MsCoresetError("runs must hold at least one Evidence; without runs, leave it out")
    return None if given is None else tuple(given)


def _as_numbers(name: str, given: Any, shape: tuple[int | None, ...]) -> np.ndarray | StoredRows:
    """``given`` as an array of numbers of the shape (n,), or (n, None): any number of columns but 0."""
    array = as_array(name, given)
    if array.dtype.kind not in "fiu":
        raise MsCoresetError(f"{name} must be numbers, got {type(given).__name__} of {array.dtype}; convert it first")
    fits = array.ndim == len(shape) and array.shape[0] == shape[0]
    if not fits or 0 in array.shape:
        wanted = f"({shape[0]}, d)" if len(shape) == 2 else f"({shape[0]},)"
        raise MsCoresetError(f"{name} must be a {wanted} array like labels, got shape {array.shape}"
                             f"{', which has no columns' if fits else ''}")
    return array


def _part(field: Any, rows: np.ndarray) -> Any:
    """What a field of ``Evidence`` tells of the samples ``rows``."""
    if isinstance(field, tuple):
        return tuple(run.part(rows) for run in field)
    if is_dataclass(field) and not isinstance(field, type):  # dynamics: an epoch, a row; or (n,)
        recorded = {kind.name: getattr(field, kind.name) for kind in fields(field)}
        places = _places(rows)
        return replace(field, **{name: values if values is None else values[:, places] if values.ndim > 1
                                 else values[places] for name, values in recorded.items()})
    return take(field, rows) if hasattr(field, "shape") else field


def required(array: np.ndarray | None) -> np.ndarray:
    """A field of ``Evidence`` that ``require`` has found to be there."""
    assert array is not None
    return array


def take(array: np.ndarray, rows: np.ndarray | Sequence[int]) -> np.ndarray:
    """``array[rows]``; a view, not a copy, of rows that follow one another."""
    return array[_places(rows)]


def take_as(array: np.ndarray, rows: np.ndarray, kind: np.dtype) -> np.ndarray:
    """``take``, as another type of numbers, a block of rows at a time: no copy in the array's own type arises."""
    if array.dtype == kind:
        return take(array, rows)
    taken = np.empty((len(rows), *array.shape[1:]), kind)
    for part in _row_blocks(taken):
        taken[part] = take(array, rows[part])
    return taken


def _places(rows: np.ndarray | Sequence[int]) -> slice | np.ndarray | Sequence[int]:
    """``rows``, as a slice where they follow one another."""
    together = len(rows) and rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all()
    return slice(int(rows[0]), int(rows[-1]) + 1) if together else rows


def _blocks(array: np.ndarray, places: range) -> Iterator[tuple[int, np.ndarray]]:
    """(place of the first, rows) of an array, block by block of the samples ``places``, a range."""
    step = max(1, BLOCK_NUMBERS // max(1, array[:1].size))
    return ((start, array[start:min(start + step, places.stop)]) for start in places[::step])


def _require_finite(array: np.ndarray, name: str, places: range) -> None:
    # A sum is finite only if every term is, and takes one pass without a temporary; an overflowing sum of finite
    # terms is told apart by looking closer.
    for first, part in _blocks(array, places):
        with np.errstate(over="ignore", invalid="ignore"):
            suspicious = not np.isfinite(part.sum())
        if suspicious and not np.isfinite(part).all():
            raise MsCoresetError(f"{name} of sample {first + int(np.argwhere(~np.isfinite(part))[0, 0])} are not "
                                 "finite")


def _require_measurable(features: np.ndarray, places: range) -> None:
    """Raise ``MsCoresetError`` where distances in single precision would all be infinite, or too small to tell."""
    largest = max((extreme for _, part in _blocks(features, places)  # -(-128) is no int8
                   for extreme in (float(part.max(initial=0)), -float(part.min(initial=0)))), default=0.0)
    if largest > LARGEST_FEATURE or 0 < largest < SMALLEST_FEATURE:
        raise MsCoresetError(f"features are as large as {largest:.3g}: distances are told apart where the largest lies "
                             f"between {SMALLEST_FEATURE:g} and {LARGEST_FEATURE:g}; multiply them by a constant")


def _warn_of_probabilities(logits: np.ndarray, places: range) -> None:
    """Warn where all logits of the samples ``places``, of more than one class, are what a softmax gives."""
    if logits.shape[1] > 1 and all(are_probabilities(part).all() for _, part in _blocks(logits, places)):
        warn("logits look like probabilities, for every row lies in [0, 1] and sums to 1: if they are, give them as "
             "Evidence(probabilities=...), in a command say --probabilities")


def warn(message: str) -> None:
    """Warn whoever called this package: a ``MsCoresetWarning``, of their line."""
    warnings.warn(message, MsCoresetWarning, stacklevel=_frames_to_caller())


def _frames_to_caller() -> int:
    """How many frames above the caller of this one the first is that is neither this package's nor a decorator's."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in ("ms_coreset", "contextlib"):
        frame, level = frame.f_back, level + 1
    return level


@dataclass(frozen=True)
class LastLayerGradients:
    """Gradients of the cross entropy by the last layer's weights and bias, factorised, never written out.

    With p = softmax(z): sample i's gradient is G_i = [g_i ; vec(g_i e_i^T)], g_i = p_i - onehot(y_i), so that
    <G_i, G_j> = <g_i, g_j> (1 + <e_i, e_j>): (n, C) and (n, d) numbers instead of n C (d + 1).

    errors: (n, C) float64, the g_i: the gradient by the logits, or by the bias
    features: (n, d), the e_i: the input of the last layer, as given
    """

    errors: np.ndarray
    features: np.ndarray

    @classmethod
    def of(cls, evidence: Evidence) -> LastLayerGradients:
        """From an evidence's logits, labels and features; labels must be columns of the logits."""
        logits = required(evidence.logits)
        require_label_columns(evidence.labels, logits.shape[1])
        errors = softmax(logits)
        errors[np.arange(len(errors)), evidence.labels] -= 1
        return cls(errors, np.asarray(required(evidence.features)))

    def __len__(self) -> int:
        return len(self.errors)

    def take(self, rows: np.ndarray | Sequence[int]) -> LastLayerGradients:
        """The gradients of some samples."""
        return LastLayerGradients(take(self.errors, rows), take(self.features, rows))

    def divided_by_batch(self, batch_size: int) -> LastLayerGradients:
        """Each gradient divided by the size of its batch of consecutive samples: what DeepCore computes."""
        return LastLayerGradients(self.errors / batch_sizes(len(self), batch_size)[:, None], self.features)

    def squared_norms(self) -> np.ndarray:
        """(n,): ||G_i||^2 = ||g_i||^2 (1 + ||e_i||^2)."""
        def of_rows(errors: np.ndarray, features: np.ndarray) -> np.ndarray:
            features = np.asarray(features, np.float64)
            return np.einsum("ij,ij->i", errors, errors) * (1 + np.einsum("ij,ij->i", features, features))

        return row_wise(of_rows, self.errors, self.features)


def batch_sizes(n: int, batch_size: int) -> np.ndarray:
    """(n,): the size of each sample's batch where n are cut into consecutive batches, the last one smaller."""
    return np.minimum(batch_size, n - np.arange(n) // batch_size * batch_size)


def row_wise(function: Callable[..., np.ndarray], *arrays: np.ndarray) -> np.ndarray:
    """(n,): ``function`` of the rows of arrays (n, ...), a block at a time, so that no float64 copy of all arises."""
    return np.concatenate([function(*(array[part] for array in arrays)) for part in _row_blocks(*arrays)])


def _row_blocks(*arrays: np.ndarray) -> list[slice]:
    """Slices over the rows of arrays (n, ...) that take ``ROWS_BYTES`` together in float64."""
    step = max(1, ROWS_BYTES // (8 * max(1, sum(array[:1].size for array in arrays))))
    return [slice(start, start + step) for start in range(0, len(arrays[0]), step)]


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Row-wise log softmax in float64, finite for finite logits; see ``_below_largest``."""
    shifted = _below_largest(logits)
    for part in _row_blocks(shifted):
        shifted[part] -= np.log(np.exp(shifted[part]).sum(axis=1, keepdims=True))
    return shifted


def softmax(logits: np.ndarray) -> np.ndarray:
    """Row-wise softmax in float64."""
    shares = _below_largest(logits)
    np.exp(shares, out=shares)
    shares /= shares.sum(axis=1, keepdims=True)
    return shares


def _below_largest(logits: np.ndarray) -> np.ndarray:
    """z_c - max_j z_j of rows, float64; more than ``LARGEST_GAP`` below counts as so much, since not all differences
    of logits near 1e308 are numbers, nor are sums of them."""
    below = np.array(logits, np.float64)
    with np.errstate(over="ignore"):
        below -= below.max(axis=1, keepdims=True)
    return np.maximum(below, -LARGEST_GAP, out=below)
