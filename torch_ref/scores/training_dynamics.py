"""The record of the training."""

from collections.abc import Sequence

import numpy as np
import torch

from torch_ref.evidence import Evidence

Epochs = int | str | Sequence[int] | None  # the first so many, "A-B" or (A, B); all


def ends_of(epochs: int | str | Sequence[int]) -> tuple[int, int]:
    """The pair (first epoch, one after the last)."""
    if isinstance(epochs, int):
        return 0, epochs
    first, last = epochs.split("-") if isinstance(epochs, str) else epochs
    return int(first), int(last)


def record_of(evidence: Evidence, field: str, epochs: Epochs = None) -> torch.Tensor:
    """A field of the dynamics over the epochs, as float64.

    Args:
        evidence: arrays about the n samples.
        field: name of the field.
        epochs: which epochs count; None: all.

    Returns:
        (T, n) float64; NaN if the sample was not seen.
    """
    if getattr(evidence, "dynamics", None) is None or getattr(evidence.dynamics, field) is None:
        raise ValueError(f"evidence lacks dynamics with {field}")
    recorded = torch.tensor(np.array(getattr(evidence.dynamics, field), np.float64))
    if recorded.shape[1] != len(evidence.labels):
        raise ValueError(f"dynamics of {recorded.shape[1]} samples for {len(evidence.labels)} labels")
    loss = getattr(evidence.dynamics, "loss", None)
    if field == "correct" and loss is not None:  # booleans have no NaN
        recorded[torch.tensor(np.isnan(np.array(loss, np.float64)))] = torch.nan
    if epochs is None:
        return recorded
    first, last = ends_of(epochs)
    if not 0 <= first < last <= len(recorded):
        raise ValueError(f"epochs {epochs} are not within the {len(recorded)} that were recorded")
    return recorded[first:last]


def sum_of_seen(record: torch.Tensor) -> torch.Tensor:
    """Sums (n,) of the columns of (T, n); gaps in a column count as its mean."""
    return record.nansum(dim=0) * (len(record) / record.isfinite().sum(dim=0).double())


def mean_of_whole(windows: Sequence[torch.Tensor]) -> torch.Tensor:
    """Mean of the values (n,) of windows; windows without a value, in which a sample was not seen, are left out."""
    total = sum(window.nan_to_num(0.0) for window in windows)
    return total / sum(window.isfinite().double() for window in windows)
