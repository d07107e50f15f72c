"""EVA: the variances of the error norm, early and late."""

import torch

from torch_ref.evidence import Evidence
from torch_ref.scores.dynamic_uncertainty import deviation
from torch_ref.scores.training_dynamics import Epochs, ends_of, record_of


def eva(evidence: Evidence, early: Epochs = None, late: Epochs = None, weight: float = 0.5) -> torch.Tensor:
    """Weighted sum of each sample's share of the variances of the error norm, of an early and of a late part.

    Source: Hong et al., ACM MM 2024.

    Args:
        evidence: arrays about the n samples.
        early: the early epochs: a number N for the first N, or "A-B" or (A, B) for A to B - 1; by default the first
            ten, or half of all if there are fewer than 20, but at least two.
        late: the late epochs in the same form; by default ten from the middle on, or half of all if there are fewer
            than 20, but at least two.
        weight: of the early part, in [0, 1].

    Returns:
        (n,) float64, high = keep.
    """
    errors = record_of(evidence, "error_norm")
    first, second = _halves(len(errors), early, late)
    score = torch.zeros(errors.shape[1], dtype=torch.float64)
    seen = torch.cat([errors[slice(*first)], errors[slice(*second)]]).isfinite().all(dim=0)
    for share, (start, last) in ((weight, first), (1 - weight, second)):
        variances = deviation(errors[start:last]).square()
        variances[~seen] = torch.nan
        even = torch.where(seen, 1 / seen.sum().double(), torch.nan)
        score += share * (variances / variances.nansum() if variances.nansum() > 0 else even)
    return score


def _halves(total: int, early: Epochs, late: Epochs) -> tuple[tuple[int, int], tuple[int, int]]:
    """(first epoch, one after the last) of the early and of the late part of ``total`` epochs."""
    length = max(2, min(10, total // 2))
    middle = min(total // 2, total - length)
    first = (0, length) if early is None else ends_of(early)
    second = (middle, middle + length) if late is None else ends_of(late)
    chosen = early is not None or late is not None
    if (chosen and first[1] > second[0]) or second[0] < 0 or max(first[1], second[1]) > total or min(
            last - start for start, last in (first, second)) < 2:
        raise ValueError(f"parts {first} and {second} of {total} epochs")
    return first, second
