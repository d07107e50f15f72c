"""How far the scores of several runs agree."""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from ms_coreset.arrays import as_array
from ms_coreset.errors import MsCoresetError, require_number
from ms_coreset.selectors.quota import budget
from ms_coreset.selectors.rules import top


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far the scores of several runs agree: each value is a mean over all pairs of runs.

    Attributes:
        correlation: Pearson's, in [-1, 1]; NaN if all scores of a run are equal.
        rank_correlation: Spearman's, in [-1, 1]; equal scores share the mean of their ranks.
        in_common: share of the highest scores of one run that are among the highest of the other, in [0, 1].
        rate: share of all samples that count as the highest.
    """

    correlation: float
    rank_correlation: float
    in_common: float
    rate: float

    def __str__(self) -> str:
        return (f"correlation {self.correlation:.3f}, of ranks {self.rank_correlation:.3f}; of the highest "
                f"{self.rate:.0%} {self.in_common:.1%} in common")


def agreement(scores: Any, rate: float = 0.1) -> Agreement:
    """Measure how far the scores of several runs agree: correlations, and the overlap of the highest scores.

    Args:
        scores: (R, n), a row for each of R >= 2 runs; a sample without a score (NaN) in one of them is left out.
        rate: share of the samples that count as the highest, in (0, 1].

    Returns:
        An ``Agreement``.

    Raises:
        MsCoresetError: for fewer than two runs, for fewer than two samples that have a score in all of them, and for a
            rate out of range.
    """
    require_number("rate", rate)
    values = np.asarray(as_array("scores", scores))
    if values.dtype.kind not in "fiub" or values.ndim != 2 or len(values) < 2 or not 0 < rate <= 1:
        raise MsCoresetError(f"agreement is of scores (runs, samples) of two runs or more, and a rate above 0 and at "
                             f"most 1, got {values.dtype} of shape {values.shape} and rate {rate}")
    values = values[:, np.isfinite(values).all(axis=0)].astype(np.float64)
    if values.shape[1] < 2:
        raise MsCoresetError(f"agreement: {values.shape[1]} samples have a score in every run: at least two")
    ranks = np.stack([_ranks(row) for row in values])
    highest = [set(top(row, max(1, budget(rate, len(row)))).tolist()) for row in values]
    in_common = np.mean([len(one & other) / len(one) for one, other in combinations(highest, 2)])
    return Agreement(correlation=_pairwise(values), rank_correlation=_pairwise(ranks), in_common=float(in_common),
                     rate=float(rate))


def _ranks(values: np.ndarray) -> np.ndarray:
    """(n,): the rank of each value from 0 on; equal values share the mean of their ranks."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts + 1) / 2)[group]


def _pairwise(rows: np.ndarray) -> float:
    """The mean of Pearson's correlation over all pairs of rows."""
    centered = rows - rows.mean(axis=1, keepdims=True)
    centered /= np.abs(centered).max(axis=1, keepdims=True, initial=np.finfo(float).tiny)
    with np.errstate(invalid="ignore"):
        unit = centered / np.linalg.norm(centered, axis=1, keepdims=True)
    return float(np.mean([unit[one] @ unit[other] for one, other in combinations(range(len(rows)), 2)]))
