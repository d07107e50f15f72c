"""What is known of each sample: the arrays that selectors see, and their checks."""

from collections.abc import Iterable
from dataclasses import dataclass, fields, is_dataclass, replace

import numpy as np

from ms_coreset.errors import MsCoresetError, require_kind
from ms_coreset.randomness import hold_out

ROWS_BYTES = 4 << 20  # of a block of rows in float64: it stays in the cache
LARGEST_FEATURE, SMALLEST_FEATURE = 1e15, 1e-6  # squares are finite in single precision
LARGEST_GAP = 1e300  # between logits of a sample
FIELDS = ("features", "logits", "dynamics", "boundary", "runs")  # that tell of each sample, as labels do
EXTRACTED = ("features", "logits")  # that a network tells in one pass
_HOW = {
    "features": "mc.extract(network, split, need=('features',)), or pass your own (n, d) array",
    "logits": "mc.extract(network, split, need=('logits',)), or pass your own (n, C) array",
    "dynamics": "mc.train(..., record=...).dynamics, or TrainingDynamics.load(folder)",
    "boundary": "mc.deepfool_distances(network, split)",
    "runs": "one Evidence per network: Evidence(labels, runs=(first, second, ...))",
    "validation": "Evidence of held-out samples from the same network",
}


@dataclass(frozen=True)
class Evidence:
    """Arrays about n samples; only labels must be there. Plain NumPy or memory-mapped, of any origin.

    labels: (n,) integers, any values
    features: (n, d), the input of a network's last dense layer
    logits: (n, C)
    dynamics: ``TrainingDynamics``
    boundary: (n,), squared distance to the decision boundary (DeepFool)
    runs: a tuple of ``Evidence`` of the same samples, one per network, for scores that average over several
    validation: ``Evidence`` of other samples from the same network

    Raises ``MsCoresetError`` when shapes do not fit together.
    """

    labels: np.ndarray
    features: np.ndarray | None = None
    logits: np.ndarray | None = None
    dynamics: object | None = None
    boundary: np.ndarray | None = None
    runs: tuple | None = None
    validation: object | None = None

    def __post_init__(self):
        labels = np.asarray(self.labels)
        if labels.ndim != 1 or not len(labels) or not np.issubdtype(labels.dtype, np.integer):
            raise MsCoresetError(f"labels must be a non-empty (n,) array of integers, "
                                 f"got {labels.dtype} of shape {labels.shape}")
        object.__setattr__(self, "labels", labels)
        for name in ("features", "logits", "boundary"):
            if isinstance(getattr(self, name), list | tuple):
                object.__setattr__(self, name, np.array(getattr(self, name)))
        for name in EXTRACTED:
            array = getattr(self, name)
            if array is not None and (np.ndim(array) != 2 or len(array) != len(labels)):
                raise MsCoresetError(f"{name} must be a ({len(labels)}, d) array like labels, "
                                     f"got shape {np.shape(array)}")
        if self.boundary is not None and np.shape(self.boundary) != labels.shape:
            raise MsCoresetError(f"boundary must be ({len(labels)},) like labels, got shape {np.shape(self.boundary)}")
        for name in ("features", "logits", "boundary"):
            kind = np.asarray(getattr(self, name)).dtype.kind if getattr(self, name) is not None else "f"
            if kind not in "fiu":
                raise MsCoresetError(f"{name} must be numbers, got {type(getattr(self, name)).__name__} of kind {kind}")
        require_kind("runs", self.runs, list, tuple, type(None))
        for name, other in (*(("runs", run) for run in self.runs or ()), ("validation", self.validation)):
            require_kind(name, other, Evidence, *(() if name == "runs" else (type(None),)))
        for run in self.runs or ():
            if not np.array_equal(run.labels, labels):
                raise MsCoresetError("every run must be of the same samples: their labels differ")

    def __len__(self) -> int:
        return len(self.labels)

    def hold_out(self, share: float, seed: int = 0) -> tuple[np.ndarray, "Evidence"]:
        """(places (m,), ``Evidence`` of these m samples with the others as its ``validation``).

        ``round(share * n)`` samples are held out, drawn by the seed: those that training with a validation share of
        this size and seed does not train on. Labels, features and logits go along, nothing else.
        """
        rest, held_out = hold_out(len(self), share, seed)
        if not len(held_out):
            raise MsCoresetError(f"held-out share {share}: none of {len(self)} samples; give a larger share")
        return rest, replace(self.part(rest, EXTRACTED), validation=self.part(held_out, EXTRACTED))

    def part(self, rows: np.ndarray, fields: Iterable[str] = FIELDS) -> "Evidence":
        """``Evidence`` of the samples ``rows`` (m,): the labels and ``fields``; the validation set is everybody's.

        Of samples that lie together, in their order, arrays are views, not copies.
        """
        found = {name: _part(getattr(self, name), rows) for name in fields}
        return Evidence(take(self.labels, rows), validation=self.validation, **found)

    def require(self, needs: Iterable[str], method: str, rows: slice = slice(None)) -> None:
        """Raise ``MsCoresetError`` unless every field in ``needs`` is there, and finite in the samples ``rows``.

        Features must also be of a size that distances can be told apart by.
        """
        for name in needs:
            value = getattr(self, name)
            if value is None:
                raise MsCoresetError(f"{method} needs {name}, which this evidence lacks; get it with {_HOW[name]}")
            if isinstance(value, np.ndarray):
                _require_finite(value[rows], name, rows.start or 0)
                if name == "features":
                    _require_measurable(value[rows])


def _part(field, rows):
    """What a field of ``Evidence`` tells of the samples ``rows``."""
    if isinstance(field, tuple):
        return tuple(run.part(rows) for run in field)
    if is_dataclass(field):  # dynamics: an epoch, a row
        recorded = {kind.name: getattr(field, kind.name) for kind in fields(field)}
        return replace(field, **{name: values if values is None else values[:, _places(rows)]
                                 for name, values in recorded.items()})
    return take(field, rows) if hasattr(field, "shape") else field


def take(array, rows):
    """``array[rows]``; a view, not a copy, of rows that follow one another."""
    return array[_places(rows)]


def _places(rows):
    """``rows``, as a slice where they follow one another."""
    together = len(rows) and rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all()
    return slice(int(rows[0]), int(rows[-1]) + 1) if together else rows


def _require_finite(array, name, first=0):
    # A sum is finite only if every term is, and takes one pass without a temporary; an overflowing sum of finite
    # terms is told apart by looking closer.
    block = max(1, (1 << 22) // max(1, array[:1].size))
    for start in range(0, len(array), block):
        part = array[start:start + block]
        with np.errstate(over="ignore", invalid="ignore"):
            suspicious = not np.isfinite(part.sum())
        if suspicious and not np.isfinite(part).all():
            row = first + start + int(np.argwhere(~np.isfinite(part))[0, 0])
            raise MsCoresetError(f"{name} of sample {row} are not finite")


def _require_measurable(features):
    """Raise ``MsCoresetError`` where distances in single precision would all be infinite, or too small to tell."""
    largest = max(float(features.max(initial=0)), -float(features.min(initial=0)))  # -(-128) is no int8
    if largest > LARGEST_FEATURE or 0 < largest < SMALLEST_FEATURE:
        raise MsCoresetError(f"features are as large as {largest:.3g}: distances are told apart where the largest lies "
                             f"between {SMALLEST_FEATURE:g} and {LARGEST_FEATURE:g}; multiply them by a constant")


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
    def of(cls, evidence):
        """From an evidence's logits, labels and features; labels must be columns of the logits."""
        classes = evidence.logits.shape[1]
        if evidence.labels.min() < 0 or evidence.labels.max() >= classes:
            raise MsCoresetError(f"labels must be 0 to {classes - 1}, the columns of logits")
        errors = softmax(evidence.logits)
        errors[np.arange(len(errors)), evidence.labels] -= 1
        return cls(errors, np.asarray(evidence.features))

    def __len__(self):
        return len(self.errors)

    def take(self, rows):
        """The gradients of some samples."""
        return LastLayerGradients(self.errors[rows], self.features[rows])

    def divided_by_batch(self, batch_size):
        """Each gradient divided by the size of its batch of consecutive samples: what DeepCore computes."""
        return LastLayerGradients(self.errors / batch_sizes(len(self), batch_size)[:, None], self.features)

    def squared_norms(self):
        """(n,): ||G_i||^2 = ||g_i||^2 (1 + ||e_i||^2)."""
        def of_rows(errors, features):
            features = np.asarray(features, np.float64)
            return np.einsum("ij,ij->i", errors, errors) * (1 + np.einsum("ij,ij->i", features, features))

        return row_wise(of_rows, self.errors, self.features)


def batch_sizes(n, batch_size):
    """(n,): the size of each sample's batch where n are cut into consecutive batches, the last one smaller."""
    return np.minimum(batch_size, n - np.arange(n) // batch_size * batch_size)


def row_wise(function, *arrays):
    """(n,): ``function`` of the rows of arrays (n, ...), a block at a time, so that no float64 copy of all arises."""
    width = max(1, sum(array[:1].size for array in arrays))
    step = max(1, ROWS_BYTES // (8 * width))
    return np.concatenate([function(*(array[start:start + step] for array in arrays))
                           for start in range(0, len(arrays[0]), step)])


def log_softmax(logits):
    """Row-wise log softmax in float64, finite for finite logits; see ``_below_largest``."""
    shifted = _below_largest(logits)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted


def softmax(logits):
    """Row-wise softmax in float64."""
    shares = _below_largest(logits)
    np.exp(shares, out=shares)
    shares /= shares.sum(axis=1, keepdims=True)
    return shares


def _below_largest(logits):
    """z_c - max_j z_j of rows, float64; more than ``LARGEST_GAP`` below counts as so much, since not all differences
    of logits near 1e308 are numbers, nor are sums of them."""
    below = np.array(logits, np.float64)
    with np.errstate(over="ignore"):
        below -= below.max(axis=1, keepdims=True)
    return np.maximum(below, -LARGEST_GAP, out=below)
