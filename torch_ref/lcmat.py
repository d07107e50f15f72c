"""LCMat: gradients and curvatures of the loss."""

from functools import partial

import numpy as np
import torch

from torch_ref.distances import distances
from torch_ref.evidence import Evidence, log_probabilities, require
from torch_ref.last_layer_gradients import gradients
from torch_ref.quota import TIE, Picks, budgets, join
from torch_ref.submodular import facility_location_gains, maximize


def lcmat(evidence: Evidence, rate: float, balance: bool, seed: int, eps: float = 0.05, dims: int = 100,
          reach: float | None = None) -> Picks:
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

    Returns:
        The places of the picks, in pick order, with weights and scores where the method has any.
    """
    if not eps >= 0:
        raise ValueError(f"eps is {eps}, must be at least 0")
    labels, slopes, bends = np.asarray(evidence.labels), gradients(evidence), _diagonal(evidence)

    def of_class(rows: np.ndarray, k: int) -> np.ndarray:
        apart = distances(slopes[rows])
        if eps:
            apart = apart + eps * torch.cdist(*2 * [_most_varied(bends[rows], dims)], p=1)
        apart = apart.clamp(max=reach or torch.inf)
        near = apart.max() + 1e-3 - apart
        return rows[maximize(partial(facility_location_gains, near), len(rows), k, np.random.RandomState(seed))]

    def pick(rows: np.ndarray, k: int) -> np.ndarray:
        members = [rows[labels[rows] == label] for label in np.unique(labels[rows])]
        exact = np.array([len(each) for each in members]) * k
        shares = exact // len(rows)
        shares[np.argsort(-(exact % len(rows)), kind="stable")[:k - shares.sum()]] += 1
        return join(of_class(each, share) for each, share in zip(members, shares, strict=True) if share)

    return join(pick(rows, k) for rows, k in budgets(labels, rate, balance)), None, None


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
