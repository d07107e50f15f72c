"""LCMat: gradients and curvatures of the loss."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from torch_ref.distances import distances
from torch_ref.evidence import Evidence, log_probabilities, require
from torch_ref.last_layer_gradients import gradients
from torch_ref.quota import TIE, Picks, budgets
from torch_ref.submodular import Ranking, extend, facility_location_gains, maximize, select_beyond


def lcmat(evidence: Evidence, rate: float, balance: bool, seed: int, eps: float = 0.05, dims: int = 100,
          reach: float | None = None, already_selected: Sequence[int] = ()) -> Picks:
    """In each class the picks S of least sum_i min_{j in S} d_ij, greedily; d adds up gradients and curvatures.

    Not balanced, classes share the budget in proportion to their sizes, largest remainders first.

    Source: Shin et al., AISTATS 2023.

    Args:
        evidence: what is known of the samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate holds for each class by itself.
        seed: of the random generator.
        eps: weight of the curvature's distance, the sum of absolute differences.
        dims: how many columns of the Hessian's diagonal count, those that vary most.
        reach: distances above it count as it; None: all as they are.
        already_selected: places to which the budget is added; they come first.

    Returns:
        (indices, weights, scores, gains): places of the picks in pick order; None; None; what each pick added.
    """
    if not eps >= 0:
        raise ValueError(f"eps is {eps}, must be at least 0")
    labels, slopes, bends = np.asarray(evidence.labels), gradients(evidence), _diagonal(evidence)

    def of_class(rows: np.ndarray, k: int, already: list[int]) -> Ranking:
        apart = distances(slopes[rows])
        if eps:
            apart = apart + eps * torch.cdist(*2 * [_most_varied(bends[rows], dims)], p=1)
        apart = apart.clamp(max=reach or torch.inf)
        near = apart.max() + 1e-3 - apart
        return extend(partial(facility_location_gains, near), len(rows), k, already,
                      partial(maximize, rng=np.random.RandomState(seed)))

    indices, gains = select_beyond(labels, rate, balance, already_selected, of_class, _budgets_of_classes)
    return indices, None, None, gains


def _budgets_of_classes(labels: np.ndarray, rate: float, balance: bool) -> list[tuple[np.ndarray, int]]:
    """Pairs of the rows of a class and its budget, which is a share of the pool's."""
    found = []
    for rows, k in budgets(labels, rate, balance):
        members = [rows[labels[rows] == label] for label in np.unique(labels[rows])]
        exact = np.array([len(each) for each in members]) * k
        shares = exact // len(rows)
        shares[np.argsort(-(exact % len(rows)), kind="stable")[:k - shares.sum()]] += 1
        found += [(each, int(share)) for each, share in zip(members, shares, strict=True) if share]
    return found


def _diagonal(evidence: Evidence) -> torch.Tensor:
    """The Hessian of the cross entropy by bias and weights, its diagonal: (n, C (d + 1)), class by class."""
    p, features = log_probabilities(evidence).exp(), require(evidence, "features")
    by_logits = p * (1 - p)
    inputs = torch.nn.functional.pad(features.square(), (1, 0), value=1.0)
    return (by_logits[:, :, None] * inputs[:, None, :]).flatten(1)


def _most_varied(columns: torch.Tensor, count: int) -> torch.Tensor:
    """The columns of largest variance, of equal ones the first."""
    variance = columns.var(dim=0, unbiased=False).numpy()
    edge = np.sort(variance)[::-1][min(count, len(variance)) - 1]
    above = np.flatnonzero(variance > edge + TIE * edge)
    level = np.flatnonzero(abs(variance - edge) <= TIE * edge)
    return columns[:, np.sort(np.concatenate([above, level[:max(0, count - len(above))]]))]
