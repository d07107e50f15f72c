"""The record of each sample during training, epoch by epoch, as scores over time use it."""

from typing import Any

import numpy as np

from ms_coreset.arrays import as_array
from ms_coreset.errors import MsCoresetError
from ms_coreset.evidence import Evidence
from ms_coreset.selectors.option_values import Slice

_HOW = {"validation_loss": ": train with a validation share (--validation 0.1)",
        "divergence": ": train with --record divergence"}


def record_of(evidence: Evidence, name: str, field: str, epochs: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """Get a field of the training dynamics, and the epochs in which each sample was seen.

    Args:
        evidence: with ``dynamics``.
        name: of the score, for messages.
        field: of ``TrainingDynamics``.
        epochs: which epochs, in a form of ``option_values.Slice``, or a slice; None: all.

    Returns:
        (values, seen), (T, n) each. ``seen`` is False if the sample was not presented in the epoch, for example because
        it was held out for validation; its value is then NaN, or False.

    Raises:
        MsCoresetError: for a field that was not recorded or belongs to other samples, for epochs that were not
            recorded, and for infinite values.
    """
    whole = _field(evidence, name, field)
    values, told = _epochs(whole, name, epochs), _epochs(_with_gaps(evidence.dynamics, whole), name, epochs)
    if np.isinf(told).any():
        sample = int(np.argmax(np.isinf(told).any(axis=0)))
        raise MsCoresetError(f"{name}: the training dynamics' {field} of sample {sample} is infinite: with one class, "
                             "the label has no other to lead over; or the network's answers were not finite")
    return values, ~np.isnan(told)


def require_finished(dynamics: object, name: str, epochs: Any = None) -> None:
    """Raise ``MsCoresetError`` if no sample was seen in one of the ``epochs`` of the score ``name``."""
    found = _tell(dynamics)
    if found is None:
        return
    for epoch, row in enumerate(_epochs(found, name, epochs)):
        if not np.isfinite(row).any():
            raise MsCoresetError(f"{name}: no training dynamics of epoch {epoch + 1} of {len(found)}: training was not "
                                 "finished, or the network's answers were not numbers")


def sum_over_seen(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """The sum (n,) over T epochs; for a sample that was seen in m of them, T / m times the sum over these m.

    Args:
        values: (T, n).
        seen: (T, n) bool.

    Returns:
        (n,) float64, NaN where m = 0.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return values.sum(axis=0, dtype=np.float64, where=seen) * (len(seen) / seen.sum(axis=0))


def mean_over_seen(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(n,) float64: the mean over those of T rows (T, n) in which a sample was seen; NaN if there are none."""
    with np.errstate(invalid="ignore"):
        return values.sum(axis=0, dtype=np.float64, where=seen) / seen.sum(axis=0)


def _field(evidence: Evidence, name: str, field: str) -> np.ndarray:
    """A recorded field of the training dynamics, (T, n)."""
    evidence.require(("dynamics",), name)
    values = getattr(evidence.dynamics, field, None)
    if values is None:
        raise MsCoresetError(f"{name} needs the training dynamics' {field}, which was not recorded"
                             f"{_HOW.get(field, '')}")
    values = np.asarray(as_array(f"the training dynamics' {field}", values))
    if values.shape[1] != len(evidence):
        raise MsCoresetError(f"{name}: training dynamics of {values.shape[1]} samples, but {len(evidence)} labels")
    return values


def _epochs(values: np.ndarray, name: str, epochs: Any) -> np.ndarray:
    """The rows of (T, n) that ``epochs`` means."""
    if epochs is None:
        return values
    if isinstance(epochs, slice):
        first, last = epochs.start or 0, len(values) if epochs.stop is None else epochs.stop
    else:
        first, last = Slice.ends(epochs)
    if not 0 <= first < last <= len(values):
        raise MsCoresetError(f"{name}: epochs {first} to {last}: must lie within the {len(values)} recorded epochs")
    return values[first:last]


def _with_gaps(dynamics: object, values: np.ndarray) -> np.ndarray:
    """The values, or instead of booleans, which can't be NaN, another field that is NaN where nothing was recorded."""
    if values.dtype != bool:
        return values
    found = _tell(dynamics)
    return values if found is None else found


def _tell(dynamics: object) -> np.ndarray | None:
    """A field that is NaN where nothing was recorded, or None."""
    fields = (getattr(dynamics, name, None) for name in ("loss", "probability", "error_norm", "margin", "logit_margin"))
    return next((np.asarray(as_array("the training dynamics", field)) for field in fields if field is not None), None)
