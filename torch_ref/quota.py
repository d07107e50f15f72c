"""Common parts of the methods: groups of samples with a budget each, and the rule for ties."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

TIE = 1e-10
# Indices, weights, scores of all samples, and perhaps the gains of the picks.
Picks = tuple[np.ndarray, np.ndarray | None, np.ndarray | None] | tuple[
    np.ndarray, np.ndarray | None, np.ndarray | None, np.ndarray]


class ClassBudgets(float):
    """A rate, with the budget of each class in place of its share: ``counts``, by label."""

    def __new__(cls, rate: float, counts: dict[int, int]) -> "ClassBudgets":
        """The rate as the number that it is."""
        self = super().__new__(cls, rate)
        self.counts = counts
        return self

    counts: dict[int, int]


class CostShare(float):
    """A share of what all samples cost, in place of a share of their number: ``costs``, (n,)."""

    def __new__(cls, rate: float, costs: np.ndarray) -> "CostShare":
        """The rate as the number that it is."""
        self = super().__new__(cls, rate)
        self.costs = np.asarray(costs, np.float64)
        return self

    costs: np.ndarray


class Purse(NamedTuple):
    """What the samples of a pool cost, and how much may be spent on them."""

    costs: np.ndarray
    budget: float


def pools(labels: np.ndarray, balance: bool) -> list[np.ndarray]:
    """The positions that share a budget, ascending: those of each class, classes ascending, or all."""
    labels = np.asarray(labels)
    if not balance:
        return [np.arange(len(labels))]
    return [np.flatnonzero(labels == label) for label in np.unique(labels)]


def budgets(labels: np.ndarray, rate: float, balance: bool) -> list[tuple[np.ndarray, Any]]:
    """Pairs ``(rows, round(rate * len(rows)))`` of all pools; a pool whose budget is 0 is left out.

    Args:
        labels: (n,) integers, the class of each sample.
        rate: share to keep, or ``ClassBudgets``, whose counts are then the budgets, or ``CostShare``, for a ``Purse``.
        balance: whether the rate applies to each class by itself.

    Returns:
        The pairs.
    """
    if isinstance(rate, CostShare):
        return [(rows, Purse(rate.costs[rows], float(rate) * rate.costs[rows].sum()))
                for rows in pools(labels, balance)]
    counts = rate.counts if isinstance(rate, ClassBudgets) else None
    sized = [(rows, round(rate * len(rows)) if counts is None else counts[int(labels[rows[0]])])
             for rows in pools(labels, balance)]
    return [(rows, k) for rows, k in sized if k]


def first_best(values: Any, candidates: np.ndarray, scale: float = 0.0) -> int:
    """The first of ``candidates`` whose value is the largest, or below it by at most 1e-10 of it, or of ``scale``.

    Such differences are rounding errors, and the order in which sums are formed must not decide.

    Args:
        values: (n,).
        candidates: positions.
        scale: magnitude of the numbers whose differences the values are.

    Returns:
        The position.
    """
    among = np.asarray(values)[candidates]
    best = among.max()
    return int(candidates[int(np.argmax(among >= best - TIE * max(abs(best), scale)))])


def best_in_turn(values_of: Callable[[list[int]], Any], n: int, k: int, scale: float = 0.0) -> list[int]:
    """Pick k different positions below n, one after the other: each the first best of ``values_of(picked so far)``."""
    picked: list[int] = []
    for _ in range(k):
        picked.append(first_best(values_of(picked), np.setdiff1d(np.arange(n), picked), scale))
    return picked


def join(parts: Iterable, dtype: Any = np.int64) -> np.ndarray:
    """One array of all parts, of which there may be none."""
    return np.concatenate([*parts, np.empty(0)]).astype(dtype)
