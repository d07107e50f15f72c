"""How much the label's probability varied: Dyn-Unc and DUAL."""

from collections.abc import Sequence

import torch

from torch_ref.evidence import Evidence
from torch_ref.scores.training_dynamics import Epochs, mean_of_whole, record_of


def dyn_unc(evidence: Evidence, window: int | None = None, epochs: Epochs = None) -> torch.Tensor:
    """Mean over the windows of J epochs of the standard deviation of p_y in the window.

    Source: He et al., CVPR Workshops 2024, with the last window.

    Args:
        evidence: arrays about the n samples.
        window: J; None: 10, or all epochs where there are fewer.
        epochs: which epochs count, see ``forgetting``; None: all.

    Returns:
        (n,) float64, high = keep.
    """
    return mean_of_whole([deviation(part) for part in _windows(evidence, window, epochs)])


def dual(evidence: Evidence, window: int | None = None, epochs: Epochs = None) -> torch.Tensor:
    """Mean over the windows of J epochs of the standard deviation of p_y times 1 minus its mean.

    Source: Cho et al., ICML 2025.

    Args:
        evidence: arrays about the n samples.
        window: J, see ``dyn_unc``.
        epochs: which epochs count, see ``forgetting``; None: all.

    Returns:
        (n,) float64, high = keep.
    """
    parts = _windows(evidence, window, epochs)
    return mean_of_whole([deviation(part) * (1 - _mean_of(part)) for part in parts])


def _windows(evidence: Evidence, window: int | None, epochs: Epochs) -> list[torch.Tensor]:
    p = record_of(evidence, "probability", epochs)
    window = window or min(10, len(p))
    if window < 2 or window > len(p):
        raise ValueError(f"a window of {window} of {len(p)} epochs")
    return [p[start:start + window] for start in range(len(p) - window + 1)]


def _mean_of(rows: Sequence[torch.Tensor]) -> torch.Tensor:
    """The mean of tensors (n,), added up one after the other: torch's own differs between equal columns in a bit."""
    return sum(rows) / len(rows)


def deviation(rows: Sequence[torch.Tensor]) -> torch.Tensor:
    """Standard deviation (n,) of the columns of (J, n), dividing by J - 1."""
    mean = _mean_of(rows)
    return (sum((row - mean).square() for row in rows) / (len(rows) - 1)).sqrt()
