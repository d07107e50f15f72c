"""What is known of each sample, and its checks."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, InitVar, dataclass
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class Evidence:
    """Arrays about n samples, from which a selection chooses.

    Attributes:
        labels: (n,) integers; None: all samples are of one class.
        features: (n, d) inputs of the network's last linear layer, or None.
        logits: (n, C), or None.
        dynamics: an object with attributes probability, margin, logit_margin, error_norm, correct and loss, each (T, n)
            for T epochs or None; or None.
        boundary: (n,) squared distances to the decision boundary, or None.
        imported: (n,) scores computed elsewhere, NaN for a sample without one, or None.
        runs: a tuple of evidence of the same samples from other networks, or None.
        validation: evidence of other samples from the same network, or None.
        like: evidence of other samples that the chosen ones are to be like, or their features (q, d), or None.
        unlike: the same of samples that they are to be unlike.
        similarity: (n, n) symmetric similarities of the samples, an array or a sparse matrix of SciPy, or None.
        cost: (n,) above 0, of which set functions may spend the share that is asked for, or None.
        probabilities: (n, C), given instead of logits, which are then log p; a p of 0 counts as the smallest positive
            number of its type.
    """

    labels: np.ndarray = None  # type: ignore[assignment]  # they are always there once it is made
    features: np.ndarray | None = None
    logits: np.ndarray | None = None
    _: KW_ONLY
    dynamics: object | None = None
    boundary: np.ndarray | None = None
    imported: np.ndarray | None = None
    runs: tuple | None = None
    validation: object | None = None
    like: Any = None
    unlike: Any = None
    similarity: object | None = None
    cost: Any = None
    probabilities: InitVar[object] = None

    def __post_init__(self, probabilities: Any) -> None:
        if probabilities is not None:
            object.__setattr__(self, "logits", _log(np.asarray(probabilities)))
        if self.labels is None:
            n = next(np.shape(given)[0] for given in (self.features, self.logits, self.boundary, self.imported,
                                                      self.similarity) if given is not None)
            object.__setattr__(self, "labels", np.zeros(n, np.int64))


def _log(p: np.ndarray) -> np.ndarray:
    """The log of p, float64; raises ``ValueError`` for rows that are not in [0, 1] or do not sum to 1."""
    no_probabilities = (p < 0).any(axis=1) | ~np.isclose(p.sum(axis=1, dtype=np.float64), 1, rtol=0, atol=0.01)
    if no_probabilities.any():
        raise ValueError(f"row {np.flatnonzero(no_probabilities)[0]} of the probabilities must be in [0, 1], sum 1")
    smallest = np.nextafter(p.dtype.type(0), p.dtype.type(1)) if p.dtype.kind == "f" else np.nextafter(0.0, 1.0)
    return np.log(np.where(p == 0, smallest, p).astype(np.float64))


def require(evidence: Evidence, *fields: str) -> Any:
    """The arrays of ``fields`` as float64 tensors; raises ``ValueError`` for one that is missing or not finite."""
    tensors = []
    for field in fields:
        array = getattr(evidence, field)
        if array is None:
            raise ValueError(f"evidence lacks {field}")
        tensor = torch.tensor(np.array(array, np.float64))
        if len(tensor) != len(evidence.labels):
            raise ValueError(f"{len(tensor)} rows of {field} for {len(evidence.labels)} labels")
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{field} hold NaN or infinite values: all must be finite")
        tensors.append(tensor)
    return tensors[0] if len(tensors) == 1 else tensors


def log_probabilities(evidence: Evidence) -> torch.Tensor:
    """The log softmax(z), (n, C), at least -1e300: with logits near 1e308 the differences overflow."""
    return torch.log_softmax(require(evidence, "logits"), dim=1).clamp(min=-1e300)


def check_choice(name: str, value: object, allowed: Sequence[str]) -> None:
    """Raise ``ValueError`` unless ``value`` is one of ``allowed``."""
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}, must be one of {', '.join(allowed)}")
