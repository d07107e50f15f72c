"""How a budget is split over classes, and the one driver that every method uses for it."""

from dataclasses import dataclass

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.randomness import check_seed


@dataclass(frozen=True)
class Request:
    """What is asked of a method: rate in (0, 1], balanced over classes or not, seed of its random numbers."""

    rate: float
    balance: bool = False
    seed: int = 0

    def __post_init__(self):
        if isinstance(self.rate, bool) or not isinstance(self.rate, int | float | np.number) or not 0 < self.rate <= 1:
            raise MsCoresetError(f"rate {self.rate}: must be above 0 and at most 1, the share to keep")
        check_seed(self.seed)


def budget(rate, n):
    """How many of n samples a rate keeps: ``round(rate * n)``, half to even."""
    return round(float(rate) * n)


def pick_by_group(labels, request, pick):
    """Let ``pick(rows, k)`` choose k of ``rows`` (ascending places) from all samples, or from each class in turn.

    Unbalanced: one group of all n samples. Balanced: a group per class, labels ascending, each with
    ``round(rate * n_c)``; a class with a budget of 0 gives nothing and nothing is topped up. Returns the picks
    joined in this order. Raises ``MsCoresetError`` when the rate keeps nothing at all.
    """
    groups = _classes(labels) if request.balance else [np.arange(len(labels))]
    budgets = [budget(request.rate, len(rows)) for rows in groups]
    picks = [pick(rows, k) for rows, k in zip(groups, budgets, strict=True) if k]
    if not sum(map(len, picks)):
        raise MsCoresetError(f"rate {request.rate} of {len(labels)} samples keeps none"
                             + (" of any class" if request.balance else ""))
    return np.concatenate(picks)


def _classes(labels):
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
