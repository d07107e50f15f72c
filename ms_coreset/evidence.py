"""What is known of each sample: the arrays that selectors see, and their checks."""

from dataclasses import dataclass

import numpy as np

from ms_coreset.errors import MsCoresetError

_HOW = {
    "features": "mc.extract(network, split, need=('features',)), or pass your own (n, d) array",
    "logits": "mc.extract(network, split, need=('logits',)), or pass your own (n, C) array",
    "dynamics": "mc.train(..., record=...).dynamics, or TrainingDynamics.load(folder)",
}


@dataclass(frozen=True)
class Evidence:
    """Arrays about n samples; only labels must be there. Plain NumPy or memory-mapped, of any origin.

    labels: (n,) integers, any values
    features: (n, d), the input of a network's last dense layer
    logits: (n, C)
    dynamics: ``TrainingDynamics``

    Raises ``MsCoresetError`` when shapes do not fit together.
    """

    labels: np.ndarray
    features: np.ndarray | None = None
    logits: np.ndarray | None = None
    dynamics: object | None = None

    def __post_init__(self):
        labels = np.asarray(self.labels)
        if labels.ndim != 1 or not len(labels) or not np.issubdtype(labels.dtype, np.integer):
            raise MsCoresetError(f"labels must be a non-empty (n,) array of integers, "
                                 f"got {labels.dtype} of shape {labels.shape}")
        object.__setattr__(self, "labels", labels)
        for name in ("features", "logits"):
            array = getattr(self, name)
            if array is not None and (np.ndim(array) != 2 or len(array) != len(labels)):
                raise MsCoresetError(f"{name} must be a ({len(labels)}, d) array like labels, "
                                     f"got shape {np.shape(array)}")

    def __len__(self):
        return len(self.labels)

    def require(self, needs, method):
        """Raise ``MsCoresetError`` unless every field in ``needs`` is there and finite."""
        for name in needs:
            value = getattr(self, name)
            if value is None:
                raise MsCoresetError(f"{method} needs {name}, which this evidence lacks; get it with {_HOW[name]}")
            if isinstance(value, np.ndarray):
                _require_finite(value, name)


def _require_finite(array, name):
    # A sum is finite only if every term is, and takes one pass without a temporary; an overflowing sum of finite
    # terms is told apart by looking closer.
    block = max(1, (1 << 22) // max(1, array.shape[1]))
    for start in range(0, len(array), block):
        part = array[start:start + block]
        with np.errstate(over="ignore", invalid="ignore"):
            suspicious = not np.isfinite(part.sum())
        if suspicious and not np.isfinite(part).all():
            row = start + int(np.flatnonzero(~np.isfinite(part).all(axis=1))[0])
            raise MsCoresetError(f"{name} of sample {row} are not finite")
