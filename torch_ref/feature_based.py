"""Set functions of the features themselves."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch

from torch_ref.evidence import Evidence, check_choice, require
from torch_ref.quota import Picks, best_in_turn, budgets, join
from torch_ref.submodular import Gains, maximize

CONCAVE: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "sqrt": torch.sqrt, "log": torch.log1p, "sigmoid": lambda x: x / (1 + x)}


def feature_based(evidence: Evidence, rate: float, balance: bool, seed: int, concave: str = "sqrt",
                  greedy: str = "lazy", epsilon: float = 0.1, beta: float = 0.9) -> Picks:
    """Maximize sum_d phi(sum_{i in S} x_id) of amounts, see ``amounts``.

    Args:
        evidence: arrays about the n samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate applies to each class by itself.
        seed: of the random generator.
        concave: phi: "sqrt", "log" of 1 + x, or "sigmoid", x / (1 + x).
        greedy: see ``submodular.maximize``.
        epsilon: see ``submodular.maximize``.
        beta: see ``submodular.maximize``.

    Returns:
        (indices, None, None): places of the picks, in pick order.
    """
    check_choice("concave", concave, tuple(CONCAVE))
    gains = partial(concave_gains, phi=CONCAVE[concave])
    return _select(gains, evidence, rate, balance, seed, greedy, epsilon, beta)


def max_coverage(evidence: Evidence, rate: float, balance: bool, seed: int, threshold: float = 1.0,
                 greedy: str = "lazy", epsilon: float = 0.1, beta: float = 0.9) -> Picks:
    """Maximize sum_d min(sum_{i in S} x_id, threshold) of amounts, see ``amounts``.

    Args:
        evidence: arrays about the n samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate applies to each class by itself.
        seed: of the random generator.
        threshold: above 0.
        greedy: see ``submodular.maximize``.
        epsilon: see ``submodular.maximize``.
        beta: see ``submodular.maximize``.

    Returns:
        (indices, None, None): places of the picks, in pick order.
    """
    if not threshold > 0:
        raise ValueError(f"threshold is {threshold}, must be above 0")
    gains = partial(concave_gains, phi=lambda x: x.clamp(max=threshold))
    return _select(gains, evidence, rate, balance, seed, greedy, epsilon, beta)


def set_coverage(evidence: Evidence, rate: float, balance: bool, seed: int,
                 weights: Sequence[float] | np.ndarray = ()) -> Picks:
    """Maximize sum_d w_d (1 - prod_{i in S} (1 - min(x_id, 1))) of amounts, see ``amounts``.

    Args:
        evidence: arrays about the n samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate applies to each class by itself.
        seed: not used.
        weights: (d,), at least 0; none: 1 each.

    Returns:
        (indices, None, None): places of the picks, in pick order.
    """
    features, parts = require(evidence, "features"), []
    d = features.shape[1]
    worth = torch.tensor(np.array(weights, np.float64)) if len(weights) else torch.ones(d, dtype=torch.float64)
    if worth.shape != (d,) or not torch.isfinite(worth).all() or (worth < 0).any():
        raise ValueError(f"weights must be {d} finite numbers of at least 0")
    for rows, k in budgets(evidence.labels, rate, balance):
        chances = amounts(features[rows]).clamp(max=1)
        gains = partial(coverage_gains, chances, weights=worth.repeat(chances.shape[1] // d))
        parts.append(rows[best_in_turn(gains, len(rows), k, abs(float(gains([]).max())))])
    return join(parts), None, None


def amounts(features: torch.Tensor) -> torch.Tensor:
    """The features, or where one is negative [max(x, 0), max(-x, 0)], so that none is."""
    return torch.cat([features.clamp(min=0), (-features).clamp(min=0)], dim=1) if (features < 0).any() else features


def concave_gains(x: torch.Tensor, picked: list[int], phi: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """sum_d phi(sum_{i in S + j} x_id) - phi(sum_{i in S} x_id) of every j."""
    sums = x[picked].sum(dim=0)
    return (phi(sums + x) - phi(sums)).sum(dim=1)


def coverage_gains(chances: torch.Tensor, picked: list[int], weights: torch.Tensor) -> torch.Tensor:
    """sum_d w_d p_jd prod_{i in S} (1 - p_id) of every j."""
    return (chances * (1 - chances[picked]).prod(dim=0) * weights).sum(dim=1)


def _select(gains_of: Callable[[torch.Tensor, list[int]], torch.Tensor], evidence: Evidence, rate: float, balance: bool,
            seed: int, greedy: str, epsilon: float, beta: float) -> Picks:
    features, rng = require(evidence, "features"), np.random.RandomState(seed)
    parts = []
    for rows, k in budgets(evidence.labels, rate, balance):
        gains: Gains = partial(gains_of, amounts(features[rows]))
        parts.append(rows[maximize(gains, len(rows), k, rng, greedy, epsilon, beta)])
    return join(parts), None, None
