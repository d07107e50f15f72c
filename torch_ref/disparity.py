"""Disparity: samples unlike one another."""

from collections.abc import Callable
from functools import partial

import torch

from torch_ref.evidence import Evidence
from torch_ref.quota import Picks, best_in_turn, budgets, join
from torch_ref.submodular import similarities


def disparity_sum(evidence: Evidence, rate: float, balance: bool, seed: int, kernel: str = "gradient") -> Picks:
    """Maximize sum_{i < j in S} (1 - s_ij) greedily.

    Args:
        evidence: arrays about the n samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate applies to each class by itself.
        seed: not used.
        kernel: see ``submodular.similarities``.

    Returns:
        (indices, None, None): places of the picks, in pick order.
    """
    return _select(sum_gains, evidence, rate, balance, kernel)


def disparity_min(evidence: Evidence, rate: float, balance: bool, seed: int, kernel: str = "gradient") -> Picks:
    """Maximize min_{i != j in S} (1 - s_ij) greedily.

    Args:
        evidence: arrays about the n samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate applies to each class by itself.
        seed: not used.
        kernel: see ``submodular.similarities``.

    Returns:
        (indices, None, None): places of the picks, in pick order.
    """
    return _select(min_gains, evidence, rate, balance, kernel)


def sum_gains(similarity: torch.Tensor, picked: list[int]) -> torch.Tensor:
    """sum_{i in S} (1 - s_ij) of every j."""
    return (1 - similarity[picked]).sum(dim=0)


def min_gains(similarity: torch.Tensor, picked: list[int]) -> torch.Tensor:
    """How f(S + j) differs from f(S) for every j, where f of less than two is 0."""
    if not picked:
        return torch.zeros(len(similarity), dtype=similarity.dtype)
    least = (1 - similarity[picked]).amin(dim=0)
    if len(picked) == 1:
        return least
    within = (1 - similarity[picked][:, picked]).fill_diagonal_(torch.inf).min()
    return torch.minimum(least, within) - within


def _select(gains_of: Callable[[torch.Tensor, list[int]], torch.Tensor], evidence: Evidence, rate: float, balance: bool,
            kernel: str) -> Picks:
    parts = []
    for rows, k in budgets(evidence.labels, rate, balance):
        gains = partial(gains_of, similarities(evidence, rows, kernel))
        parts.append(rows[best_in_turn(gains, len(rows), k, scale=1.0)])
    return join(parts), None, None
