"""How a budget is split over classes, and ``pick_by_group``, by which every method does so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.randomness import check_seed
from ms_coreset.selectors.memory import as_bytes

if TYPE_CHECKING:
    from ms_coreset.coreset import Coreset


@dataclass(frozen=True)
class Request:
    """What is asked of a method: how much to keep, of which classes, with which seed and memory.

    Attributes:
        rate: share to keep, in (0, 1].
        balance: whether the rate holds for each class by itself.
        seed: seed of its random numbers.
        memory: bytes that it may use beside the data, see ``memory.as_bytes``.
        counts: label -> number to keep, in place of the same share of each class; ``class_quotas`` sets it together
            with ``balance``.
    """

    rate: float
    balance: bool = False
    seed: int = 0
    memory: int | str | None = None
    counts: Mapping[int, int] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.rate, bool) or not isinstance(self.rate, int | float | np.number) or not 0 < self.rate <= 1:
            raise MsCoresetError(f"rate {self.rate}: must be above 0 and at most 1, the share to keep")
        check_seed(self.seed)
        object.__setattr__(self, "memory", as_bytes(self.memory))

    @property
    def memory_bytes(self) -> int:
        """The number of bytes that ``memory`` means."""
        assert isinstance(self.memory, int)
        return self.memory

    def budget_of(self, label: int, n: int) -> int:
        """Budget of the class ``label``, which has n samples."""
        return budget(self.rate, n) if self.counts is None else self.counts.get(int(label), 0)


def budget(rate: float, n: int) -> int:
    """Budget of n samples at a rate: ``round(rate * n)``, half to even."""
    return round(float(rate) * n)


def pick_by_group(labels: np.ndarray, request: Request, pick: Callable[[np.ndarray, int], np.ndarray]) -> np.ndarray:
    """Let a function pick the budget from all samples, or from each class in turn.

    Unbalanced there is one group of all n samples, with a budget of ``round(rate n)``. Balanced there is a group for
        each class, by ascending label, with a budget of ``round(rate n_c)``, or with the request's count for it. A
        class whose budget is 0 gives nothing, and no other class makes up for it.
    n_c)``, or with the request's count for it. A class with a budget of 0 gives nothing, and nothing is topped up.

    Args:
        labels: (n,) integers, the class of each sample.
        request: rate, balance, seed and memory, see ``quota.Request``.
        pick: ``pick(rows, k)`` returns k of ``rows``, ascending places of a group.

    Returns:
        (k,) int64 places: the picks of all groups in this order.

    Raises:
        MsCoresetError: if the budgets of all groups are 0.
    """
    budgets = group_budgets(labels, request)
    picks = [pick(rows, k) for rows, k in budgets]
    if not budgets:
        raise MsCoresetError(f"rate {request.rate} of {len(labels)} samples keeps none"
                             + (" of any class" if request.balance else ""))
    if not sum(map(len, picks)):
        raise MsCoresetError(f"none of {len(labels)} samples is worth a weight: their gradients are all zero, or lead "
                             "away from their mean")
    return np.concatenate(picks)


def pick_within_classes(labels: np.ndarray, request: Request,
                        pick: Callable[[np.ndarray, int], np.ndarray]) -> np.ndarray:
    """As ``pick_by_group``, but each class is chosen from by itself, balanced or not.

    Unbalanced, the classes share the budget in proportion to their sizes (``proportional``).

    Args:
        labels: (n,) integers, the class of each sample.
        request: rate, balance, seed and memory, see ``quota.Request``.
        pick: (rows of one class, ascending places; k, at least 1) -> k of them.

    Returns:
        The picks, classes by ascending label.

    Raises:
        MsCoresetError: as ``pick_by_group``.
    """
    def of_group(rows: np.ndarray, k: int) -> np.ndarray:
        members = [rows[places] for places in classes(labels[rows])]
        shares = proportional(k, [len(places) for places in members])
        return np.concatenate([pick(places, share) for places, share in zip(members, shares, strict=True) if share])

    return pick_by_group(labels, request, of_group)


def group_budgets(labels: np.ndarray, request: Request) -> list[tuple[np.ndarray, int]]:
    """The groups of ``pick_by_group`` that have a budget: pairs of ascending places and the budget."""
    groups = classes(labels) if request.balance else [np.arange(len(labels))]
    return [(rows, k) for rows in groups if (k := request.budget_of(labels[rows[0]], len(rows)))]


def truncate(coreset: Coreset, labels: np.ndarray, rate: float) -> Coreset:
    """The coreset that a nested method (``catalogue.Entry.nested``) would give at a lower rate: its first picks.

    The first picks are those of all samples, or of each class if the coreset is balanced.

    Args:
        coreset: of the higher rate.
        labels: (n,) integers, the class of each sample.
        rate: the lower one.

    Returns:
        A ``Coreset``.

    Raises:
        MsCoresetError: as ``pick_by_group``, and for a coreset with weights, which belong to all of its picks.
    """
    if coreset.weights is not None:
        raise MsCoresetError(f"{coreset.method} weighs its picks together: select anew at rate {rate}")

    def pick(rows: np.ndarray, k: int) -> np.ndarray:
        return coreset.indices[np.isin(coreset.indices, rows)][:k]

    indices = pick_by_group(labels, Request(rate, coreset.options["balance"], coreset.seed), pick)
    order = np.argsort(coreset.indices)
    places = order[np.searchsorted(coreset.indices, indices, sorter=order)]
    return replace(coreset, indices=indices, rate=float(rate),
                   gains=None if coreset.gains is None else coreset.gains[places],
                   manifest={**coreset.manifest, "kept": len(indices)})


def proportional(k: int, sizes: Sequence[int]) -> list[int]:
    """Split k over groups in proportion to their sizes.

    Group c gets floor(k n_c / n). The groups with the largest remainders get one more; of equal remainders, the first.

    Args:
        k: the sum.
        sizes: samples of each group.

    Returns:
        A list of whole numbers.
    """
    counts = np.asarray(sizes)
    shares, remainders = np.divmod(k * counts, counts.sum())
    shares[np.argsort(-remainders, kind="stable")[:k - shares.sum()]] += 1
    return shares.tolist()


def classes(labels: np.ndarray) -> list[np.ndarray]:
    """Ascending places of each class, classes by ascending label."""
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
