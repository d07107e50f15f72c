"""Disparity: samples unlike one another."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch

from torch_ref.evidence import Evidence
from torch_ref.quota import Picks, best_in_turn
from torch_ref.submodular import Ranking, extend, select_beyond, similarities


def disparity_sum(evidence: Evidence, rate: float, balance: bool, seed: int, kernel: str = "gradient",
                  gamma: float | None = None, already_selected: Sequence[int] = ()) -> Picks:
    """Maximize sum_{i < j in S} (1 - s_ij) greedily.

    Args:
        evidence: arrays about the n samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate applies to each class by itself.
        seed: not used.
        kernel: see ``submodular.similarities``.
        gamma: of the kernel "rbf".
        already_selected: places to which the budget is added; they come first.

    Returns:
        (indices, weights, scores, gains): places of the picks in pick order; None; None; what each pick added.
    """
    return _select(sum_gains, evidence, rate, balance, kernel, gamma, already_selected)


def disparity_min(evidence: Evidence, rate: float, balance: bool, seed: int, kernel: str = "gradient",
                  gamma: float | None = None, already_selected: Sequence[int] = ()) -> Picks:
    """Maximize min_{i != j in S} (1 - s_ij) greedily.

    Args:
        evidence: arrays about the n samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate applies to each class by itself.
        seed: not used.
        kernel: see ``submodular.similarities``.
        gamma: of the kernel "rbf".
        already_selected: places to which the budget is added; they come first.

    Returns:
        (indices, weights, scores, gains): places of the picks in pick order; None; None; what each pick added.
    """
    return _select(min_gains, evidence, rate, balance, kernel, gamma, already_selected)


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
            kernel: str, gamma: float | None, already_selected: Sequence[int]) -> Picks:
    def pick(rows: np.ndarray, k: int, already: list[int]) -> Ranking:
        gains = partial(gains_of, similarities(evidence, rows, kernel, gamma))
        return extend(gains, len(rows), k, already, partial(best_in_turn, scale=1.0))

    indices, gains = select_beyond(evidence.labels, rate, balance, already_selected, pick)
    return indices, None, None, gains
