"""Message passing on a graph of nearest neighbors."""

import numpy as np
import torch

from torch_ref.evidence import Evidence, check_choice, require
from torch_ref.quota import first_best, join
from torch_ref.scores import score as values_of

Groups = list[tuple[np.ndarray, int]]  # (rows, k) of those that have a budget


def messages(evidence: Evidence, values: np.ndarray, groups: Groups, rate: float, seed: int, neighbors: int = 5,
            gamma: float = 0.1, density: str = "sum", discount: str = "weighted", symmetric: bool = True,
            scale: str = "none", mis_ratio: float = 0.0, cutoff_score: str = "accumulated_margin") -> np.ndarray:
    """Picks of the highest density, each of which lowers the density of those that it is joined to.

    Source: Maharana et al., ICLR 2024.

    Args:
        evidence: what is known of the samples.
        values: (n,), the score.
        groups: pairs of places and how many of them to pick.
        rate: share of the samples to keep, in (0, 1].
        seed: of the random generator.
        neighbors: how many nearest others a sample is joined to.
        gamma: of what is taken back, exp(-gamma distance) of the pick's density.
        density: "sum", s_i + sum_j w_ij s_j with w_ij = exp(-distance), or "product", s_i sum_j w_ij s_j.
        discount: "weighted", or "absolute": all of the pick's density is taken back.
        symmetric: whether samples are joined if one of them is near the other.
        scale: "median" divides distances by the median of those to nearest neighbors; or "none".
        mis_ratio: share of each group, highest in ``cutoff_score``, that is left out.
        cutoff_score: the score of the cut-off.

    Returns:
        Places, in pick order.
    """
    check_choice("density", density, ("sum", "product"))
    check_choice("discount", discount, ("weighted", "absolute"))
    check_choice("scale", scale, ("none", "median"))
    features, known = require(evidence, "features"), torch.tensor(values)
    hardness = torch.tensor(values_of(cutoff_score, evidence)) if mis_ratio else known
    lowest = known[~known.isnan()].min()
    amounts = known - lowest.clamp(max=0)
    picks = []
    for rows, k in groups:
        if mis_ratio:
            rows = _without_hardest(rows[~hardness[rows].isnan().numpy()], hardness, k, mis_ratio)
        apart, joined = _graph(features[rows], neighbors, symmetric, scale)
        passed = torch.where(joined, torch.exp(-apart), 0.0) @ amounts[rows].clamp(min=1e-7)
        start = amounts[rows] + passed if density == "sum" else amounts[rows] * passed
        weights = torch.where(joined, torch.exp(-gamma * apart), 0.0) if discount == "weighted" else joined.double()
        picks.append(rows[_in_turn(start, weights, k)])
    return join(picks)


def _without_hardest(rows: np.ndarray, hardness: torch.Tensor, k: int, mis_ratio: float) -> np.ndarray:
    falling = np.argsort(-hardness[rows].numpy(), kind="stable")
    left = np.sort(rows[falling[int(mis_ratio * len(rows)):]])
    if len(left) < k:
        raise ValueError(f"mis_ratio {mis_ratio} leaves {len(left)} samples, fewer than the {k} to select")
    return left


def _graph(features: torch.Tensor, neighbors: int, symmetric: bool, scale: str) -> tuple[torch.Tensor, torch.Tensor]:
    """(distances (m, m), which are joined (m, m)): row i has what sample i hears."""
    m = len(features)
    squares = torch.stack([(features - row).square().sum(dim=1) for row in features])
    fractions, exponents = torch.frexp(squares)
    ranked = torch.ldexp((fractions * 2.0**40).round(), exponents - 40).fill_diagonal_(torch.inf)
    nearest = torch.sort(ranked, dim=1, stable=True).indices[:, :min(neighbors, m - 1)]
    joined = torch.zeros(m, m, dtype=torch.bool).scatter_(1, nearest, True)
    apart = squares.sqrt()
    if scale == "median" and m > 1:
        middle = float(np.median(apart[joined].numpy()))
        apart = apart / middle if middle else apart
    return apart, joined | joined.T if symmetric else joined


def _in_turn(start: torch.Tensor, weights: torch.Tensor, k: int) -> list[int]:
    density, size = start.clone(), float(start.abs().max())
    picked: list[int] = []
    for _ in range(k):
        left = np.setdiff1d(np.arange(len(start)), picked)
        picked.append(first_best(density, left, size))
        density = density - weights[picked[-1]] * density[picked[-1]]
    return picked
