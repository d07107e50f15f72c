"""Set functions of the features themselves."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch

from torch_ref.evidence import Evidence, check_choice, require
from torch_ref.quota import Picks, best_in_turn
from torch_ref.submodular import Gains, Ranking, extend, maximize, select_beyond

CONCAVE: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "sqrt": torch.sqrt, "log": torch.log1p, "sigmoid": lambda x: x / (1 + x)}


def feature_based(evidence: Evidence, rate: float, balance: bool, seed: int, concave: str = "sqrt",
                  greedy: str = "lazy", epsilon: float = 0.1, beta: float = 0.9,
                  already_selected: Sequence[int] = ()) -> Picks:
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
        already_selected: places to which the budget is added; they come first.

    Returns:
        (indices, weights, scores, gains): places of the picks in pick order; None; None; what each pick added.
    """
    check_choice("concave", concave, tuple(CONCAVE))
    gains = partial(concave_gains, phi=CONCAVE[concave])
    return _select(gains, evidence, rate, balance, seed, greedy, epsilon, beta, already_selected)


def max_coverage(evidence: Evidence, rate: float, balance: bool, seed: int, threshold: float = 1.0,
                 greedy: str = "lazy", epsilon: float = 0.1, beta: float = 0.9,
                  already_selected: Sequence[int] = ()) -> Picks:
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
        already_selected: places to which the budget is added; they come first.

    Returns:
        (indices, weights, scores, gains): places of the picks in pick order; None; None; what each pick added.
    """
    if not threshold > 0:
        raise ValueError(f"threshold is {threshold}, must be above 0")
    gains = partial(concave_gains, phi=lambda x: x.clamp(max=threshold))
    return _select(gains, evidence, rate, balance, seed, greedy, epsilon, beta, already_selected)


def set_coverage(evidence: Evidence, rate: float, balance: bool, seed: int,
                 weights: Sequence[float] | np.ndarray = (), already_selected: Sequence[int] = ()) -> Picks:
    """Maximize sum_d w_d (1 - prod_{i in S} (1 - min(x_id, 1))) of amounts, see ``amounts``.

    Args:
        evidence: arrays about the n samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate applies to each class by itself.
        seed: not used.
        weights: (d,), at least 0; none: 1 each.
        already_selected: places to which the budget is added; they come first.

    Returns:
        (indices, weights, scores, gains): places of the picks in pick order; None; None; what each pick added.
    """
    features = require(evidence, "features")
    d = features.shape[1]
    worth = torch.tensor(np.array(weights, np.float64)) if len(weights) else torch.ones(d, dtype=torch.float64)
    if worth.shape != (d,) or not torch.isfinite(worth).all() or (worth < 0).any():
        raise ValueError(f"weights must be {d} finite numbers of at least 0")

    def pick(rows: np.ndarray, k: int, already: list[int]) -> Ranking:
        chances = amounts(features[rows]).clamp(max=1)
        gains = partial(coverage_gains, chances, weights=worth.repeat(chances.shape[1] // d))
        return extend(gains, len(rows), k, already, _best_in_turn)

    indices, gains = select_beyond(evidence.labels, rate, balance, already_selected, pick)
    return indices, None, None, gains


def _best_in_turn(gains: Gains, n: int, k: int) -> list[int]:
    return best_in_turn(gains, n, k, abs(float(gains([]).max())))


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
            seed: int, greedy: str, epsilon: float, beta: float, already_selected: Sequence[int]) -> Picks:
    features, rng = require(evidence, "features"), np.random.RandomState(seed)

    def pick(rows: np.ndarray, k: int, already: list[int]) -> Ranking:
        return extend(partial(gains_of, amounts(features[rows])), len(rows), k, already,
                      partial(maximize, rng=rng, greedy=greedy, epsilon=epsilon, beta=beta))

    indices, gains = select_beyond(evidence.labels, rate, balance, already_selected, pick)
    return indices, None, None, gains
