"""Means, spreads, paired differences with their intervals, overlaps: plain numbers in, plain numbers out."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float | None]:
    """(mean, sample standard deviation with n - 1) of numbers; the deviation of a single one is None."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None


@dataclass(frozen=True)
class Difference:
    """How much one method exceeds another on the same seeds.

    Attributes:
        mean: of the differences
        pairs: their number
        low: Student's interval for the mean at ``CONFIDENCE``, or None with fewer than two pairs
        high: Student's interval for the mean at ``CONFIDENCE``, or None with fewer than two pairs
    """

    mean: float
    pairs: int
    low: float | None = None
    high: float | None = None

    @property
    def decided(self) -> int:
        """+1 or -1 where the whole interval is above or below 0, else 0."""
        if self.low is None or self.high is None:
            return 0
        return (self.low > 0) - (self.high < 0)


def paired_difference(values: Mapping[int, float], others: Mapping[int, float]) -> Difference | None:
    """``Difference`` of two dicts from seed to value, over the seeds that both have; None where they share none.

    The interval is ``mean -+ t s / sqrt(m)``: s the sample deviation of the m differences, t Student's quantile with
    m - 1 degrees of freedom. It takes the differences as independent and normal.
    """
    seeds = sorted(values.keys() & others.keys())
    if not seeds:
        return None
    mean, deviation = mean_and_deviation([values[seed] - others[seed] for seed in seeds])
    if deviation is None:
        return Difference(mean, 1)
    from scipy.stats import t

    half = float(t.ppf((1 + CONFIDENCE) / 2, len(seeds) - 1)) * deviation / math.sqrt(len(seeds))
    return Difference(mean, len(seeds), mean - half, mean + half)


def places(values: Mapping[str, float]) -> dict[str, int]:
    """{name: 1 or 2} of the names with the highest and the second highest value; equal values share a place."""
    ranked = sorted(set(values.values()), reverse=True)[:2]
    return {name: ranked.index(value) + 1 for name, value in values.items() if value in ranked}


def jaccard(one: np.ndarray, other: np.ndarray) -> float:
    """Samples in both over samples in either, of two arrays of places."""
    both = len(np.intersect1d(one, other, assume_unique=True))
    either = len(one) + len(other) - both
    return both / either if either else 1.0


def mean_overlap(ones: Mapping[int, np.ndarray], others: Mapping[int, np.ndarray]) -> float | None:
    """Mean Jaccard overlap of two dicts from seed to places.

    It is over the seeds of both, or, of a dict with itself, over all pairs of different seeds.

    Args:
        ones: seed -> places
        others: seed -> places

    Returns:
        The mean; None where there is no pair.
    """
    if ones is others:
        seeds = sorted(ones)
        pairs = [(ones[a], ones[b]) for i, a in enumerate(seeds) for b in seeds[i + 1:]]
    else:
        pairs = [(ones[seed], others[seed]) for seed in sorted(ones.keys() & others.keys())]
    return float(np.mean([jaccard(*pair) for pair in pairs])) if pairs else None


def chance_overlap(rate: float) -> float:
    """Jaccard overlap to expect of two random coresets of the share ``rate``: about rate / (2 - rate)."""
    return rate / (2 - rate)
