"""EVA: how much the error varies early and late in training."""

from typing import Annotated, Any

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.evidence import Evidence
from ms_coreset.selectors.catalogue import score
from ms_coreset.selectors.estimate import row_by_row
from ms_coreset.selectors.option_values import Epochs, Number, Slice
from ms_coreset.selectors.scores.record import record_of

_LENGTH = 10  # of both parts, in the paper
Weight = Annotated[float, Number(lambda value: 0 <= value <= 1, "from 0 to 1")]


@score("eva", needs=("dynamics",), labels=False, cost="n T", work=row_by_row,
       source="Hong et al., Evolution-aware Variance Coreset Selection for Medical Image Classification, ACM MM 2024")
def eva(evidence: Evidence, early: Epochs | None = None, late: Epochs | None = None,
        weight: Weight = 0.5) -> np.ndarray:
    """Variance of the probabilities' distance from the label, early and late in training.

    s_i = w A_i / sum_j A_j + (1 - w) B_i / sum_j B_j, with A and B the variances (dividing by the number of epochs
    minus 1) of e_t(i) = ||p_t(i) - onehot(y_i)||_2 over the early and over the late epochs. If all variances of a part
    are 0, each sample's share of it is 1 / n. The sums leave out samples that were not seen in every epoch of both
    parts.

    Departure from the authors' code: that never computes a part that ends with the last epoch, and gives 0 to samples
    that training did not show.

    Args:
        evidence: with labels and ``dynamics``.
        early: the early epochs, at least two and before the late ones: a number N for the first N, or "A-B" for those
            from A up to, but without, B, counted from 0. By default the first ten (the paper's 0-10 of 200); of fewer
            than 20 epochs the first half, of fewer than four the first two.
        late: the late epochs, at least two, in the same form. By default the ten from the middle on (the paper's
            100-110 of 200); of fewer than 20 epochs the last half, of fewer than four the last two.
        weight: w, in [0, 1].

    Returns:
        (n,) float64, at least 0, with sum 1; high = varying = keep; NaN for a sample that was not seen in every epoch
        of both parts.

    Raises:
        MsCoresetError: for parts that overlap, are too short or were not recorded.
    """
    errors, _ = record_of(evidence, "eva", "error_norm")
    first, second = (np.var(errors[part], axis=0, ddof=1, dtype=np.float64)
                     for part in _parts(len(errors), early, late))
    seen = np.isfinite(first) & np.isfinite(second)
    values = np.full(len(seen), np.nan)
    values[seen] = weight * _shares(first[seen]) + (1 - weight) * _shares(second[seen])
    return values


def _parts(epochs: int, early: Any, late: Any) -> list[slice]:
    """Slices of the early and the late part of so many epochs."""
    if epochs < 2:
        raise MsCoresetError("eva: there is but one epoch: how much errors vary is told by two or more")
    length = max(2, min(_LENGTH, epochs // 2))
    middle = min(epochs // 2, epochs - length)
    parts = [Slice.ends(part) if part is not None else default
             for part, default in ((early, (0, length)), (late, (middle, middle + length)))]
    (first, end), (start, last) = parts
    overlap = end > start and (early, late) != (None, None)
    if overlap or min(end - first, last - start) < 2 or not 0 <= start < last <= epochs or end > epochs:
        raise MsCoresetError(f"eva: epochs {first} to {end - 1} and {start} to {last - 1} of {epochs}: the early and "
                             "the late part must be of two epochs or more, one after the other, that were recorded")
    return [slice(*part) for part in parts]


def _shares(variances: np.ndarray) -> np.ndarray:
    """Each sample's share of the sum of the variances (n,), 1 in all."""
    total = variances.sum()
    return variances / total if total else np.full(len(variances), 1 / max(1, len(variances)))
