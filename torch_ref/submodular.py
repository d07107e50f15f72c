"""Set functions of a similarity kernel, and greedy maximization."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from torch_ref.distances import cosine_similarities
from torch_ref.evidence import Evidence, check_choice, require
from torch_ref.last_layer_gradients import gradients
from torch_ref.quota import Picks, best_in_turn, budgets, first_best, join

Gains = Callable[[list[int]], torch.Tensor]  # of every further element, (n,)
GREEDY = ("lazy", "naive", "approximate_lazy", "stochastic")


def facility_location(evidence: Evidence, rate: float, balance: bool, seed: int, kernel: str = "gradient",
                      greedy: str = "lazy", epsilon: float = 0.1, beta: float = 0.9,
                      neighbors: int | None = None) -> Picks:
    """Maximize f(S) = sum_i max(0, max_{j in S} s_ij).

    Args:
        evidence: arrays about the n samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate applies to each class by itself.
        seed: of the random generator.
        kernel: "gradient" or "features", see ``similarities``.
        greedy: name of the greedy maximizer, see ``submodular.maximize``.
        epsilon: of the "stochastic" maximizer, in (0, 1).
        beta: of the "approximate_lazy" maximizer, in (0, 1].
        neighbors: number of largest similarities of each row that count, the others are 0; None: all.

    Returns:
        (indices, weights, scores): places of the picks in pick order; weights of the picks, or None; scores of all
        samples, or None.
    """
    options = {"greedy": greedy, "epsilon": epsilon, "beta": beta}

    def gains(similarity: torch.Tensor, picked: list[int]) -> torch.Tensor:
        return facility_location_gains(largest_of_rows(similarity, neighbors), picked)

    return _select(gains if neighbors else facility_location_gains, evidence, rate, balance, seed, kernel, options)


def graph_cut(evidence: Evidence, rate: float, balance: bool, seed: int, lam: float = 1.0, kernel: str = "gradient",
              greedy: str = "lazy", epsilon: float = 0.1, beta: float = 0.9) -> Picks:
    """Maximize lam sum_{i in V, j in S} s_ij - sum_{i, j in S, i != j} s_ij, without the diagonal as in DeepCore.

    Args:
        evidence: arrays about the n samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate applies to each class by itself.
        seed: of the random generator.
        lam: at least 0.
        kernel: "gradient" or "features", see ``similarities``.
        greedy: name of the greedy maximizer, see ``submodular.maximize``.
        epsilon: of the "stochastic" maximizer, in (0, 1).
        beta: of the "approximate_lazy" maximizer, in (0, 1].

    Returns:
        (indices, weights, scores): places of the picks in pick order; weights of the picks, or None; scores of all
        samples, or None.
    """
    options = {"greedy": greedy, "epsilon": epsilon, "beta": beta}
    return _select(lambda s, picked: graph_cut_gains(s, picked, lam), evidence, rate, balance, seed, kernel, options)


def log_determinant(evidence: Evidence, rate: float, balance: bool, seed: int, jitter: float = 1e-6,
                    kernel: str = "gradient", greedy: str = "lazy", epsilon: float = 0.1, beta: float = 0.9,
                    variant: str = "paper") -> Picks:
    """Maximize log det(s_SS + jitter I).

    Source: Chen et al., fast greedy MAP inference for DPPs, NeurIPS 2018.

    Args:
        evidence: arrays about the n samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate applies to each class by itself.
        seed: of the random generator.
        jitter: above 0, added to the diagonal.
        kernel: "gradient" or "features", see ``similarities``.
        greedy: name of the greedy maximizer, see ``submodular.maximize``.
        epsilon: of the "stochastic" maximizer, in (0, 1).
        beta: of the "approximate_lazy" maximizer, in (0, 1].
        variant: "paper", or "deepcore", which maximizes what S explains instead, with the sign of DeepCore's code; see
            ``explained_gains``.

    Returns:
        (indices, weights, scores): places of the picks in pick order; weights of the picks, or None; scores of all
        samples, or None.
    """
    check_choice("variant", variant, ("paper", "deepcore"))
    if not jitter > 0:
        raise ValueError(f"jitter is {jitter}, must be above 0")
    if variant == "deepcore":
        # These gains grow with S, so that the lazy algorithm is not a way to the naive one's picks.
        options = {"greedy": "deepcore_lazy" if greedy == "lazy" else greedy, "epsilon": epsilon, "beta": beta}
        return _select(explained_gains, evidence, rate, balance, seed, kernel, options)

    def gains(similarity: torch.Tensor, picked: list[int]) -> torch.Tensor:
        return log_determinant_gains(similarity, picked, jitter)

    options = {"greedy": greedy, "epsilon": epsilon, "beta": beta}
    return _select(gains, evidence, rate, balance, seed, kernel, options)


def saturated_coverage(evidence: Evidence, rate: float, balance: bool, seed: int, alpha: float = 0.1,
                       kernel: str = "gradient", greedy: str = "lazy", epsilon: float = 0.1,
                       beta: float = 0.9) -> Picks:
    """Maximize sum_{i in V} min(sum_{j in S} s_ij, alpha sum_{j in V} s_ij).

    Source: Lin & Bilmes, ACL 2011.

    Args:
        evidence: arrays about the n samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate applies to each class by itself.
        seed: of the random generator.
        alpha: above 0, at most 1.
        kernel: "gradient" or "features", see ``similarities``.
        greedy: name of the greedy maximizer, see ``submodular.maximize``.
        epsilon: of the "stochastic" maximizer, in (0, 1).
        beta: of the "approximate_lazy" maximizer, in (0, 1].

    Returns:
        (indices, None, None): places of the picks, in pick order.
    """
    if not 0 < alpha <= 1:
        raise ValueError(f"alpha is {alpha}, must be above 0 and at most 1")
    options = {"greedy": greedy, "epsilon": epsilon, "beta": beta}
    return _select(lambda s, picked: saturated_gains(s, picked, alpha), evidence, rate, balance, seed, kernel, options)


def sum_redundancy(evidence: Evidence, rate: float, balance: bool, seed: int, kernel: str = "gradient",
                   greedy: str = "lazy", epsilon: float = 0.1, beta: float = 0.9) -> Picks:
    """Maximize -sum_{i, j in S} s_ij.

    Args:
        evidence: arrays about the n samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate applies to each class by itself.
        seed: of the random generator.
        kernel: "gradient" or "features", see ``similarities``.
        greedy: name of the greedy maximizer, see ``submodular.maximize``.
        epsilon: of the "stochastic" maximizer, in (0, 1).
        beta: of the "approximate_lazy" maximizer, in (0, 1].

    Returns:
        (indices, None, None): places of the picks, in pick order.
    """
    options = {"greedy": greedy, "epsilon": epsilon, "beta": beta}
    return _select(redundancy_gains, evidence, rate, balance, seed, kernel, options)


def facility_location_gains(similarity: torch.Tensor, picked: list[int]) -> torch.Tensor:
    """f(S + j) - f(S) = sum_i max(0, s_ij - max(0, max_{m in S} s_im)) of every j."""
    covered = torch.zeros(len(similarity), dtype=similarity.dtype)
    if picked:
        covered = similarity[:, picked].amax(dim=1).clamp(min=0)
    return (similarity - covered[:, None]).clamp(min=0).sum(dim=0)


def graph_cut_gains(similarity: torch.Tensor, picked: list[int], lam: float) -> torch.Tensor:
    """Gain lam sum_i s_ij - 2 sum_{i in S} s_ij of every j."""
    return lam * similarity.sum(dim=0) - 2 * similarity[picked].sum(dim=0)


def saturated_gains(similarity: torch.Tensor, picked: list[int], alpha: float) -> torch.Tensor:
    """What j adds to sum_i min(sum_{m in S} s_im, alpha sum_m s_im), for every j."""
    enough, have = alpha * similarity.sum(dim=1), similarity[:, picked].sum(dim=1)
    before = torch.minimum(have, enough)
    return (torch.minimum(have[:, None] + similarity, enough[:, None]) - before[:, None]).sum(dim=0)


def redundancy_gains(similarity: torch.Tensor, picked: list[int]) -> torch.Tensor:
    """-s_jj - 2 sum_{i in S} s_ij of every j."""
    return -similarity.diagonal() - 2 * similarity[picked].sum(dim=0)


def log_determinant_gains(similarity: torch.Tensor, picked: list[int], jitter: float) -> torch.Tensor:
    """Gain log det(s_{S+j} + jitter I) - log det(s_S + jitter I) of every j.

    It equals log(s_jj + jitter - s_jS (s_SS + jitter I)^-1 s_Sj), of at least 1e-12.

    Args:
        similarity: (n, n).
        picked: S.
        jitter: above 0.

    Returns:
        (n,).
    """
    variance = similarity.diagonal() + jitter
    if picked:
        chosen = similarity[picked][:, picked] + jitter * torch.eye(len(picked), dtype=similarity.dtype)
        variance = variance - (similarity[picked] * torch.linalg.solve(chosen, similarity[picked])).sum(dim=0)
    return variance.clamp(min=1e-12).log()


def explained_gains(similarity: torch.Tensor, picked: list[int]) -> torch.Tensor:
    """s_jS pinv(s_SS) s_Sj of every j: DeepCore's gain of its log determinant."""
    across = similarity[picked]
    return (across * (torch.linalg.pinv(across[:, picked], hermitian=True) @ across)).sum(dim=0)


def largest_of_rows(similarity: torch.Tensor, count: int | None) -> torch.Tensor:
    """The ``count`` largest of each row, of those equal to 12 places the first; 0 elsewhere."""
    order = np.argsort(-np.round(similarity.numpy(), 12), axis=1, kind="stable")[:, :count]
    kept = torch.zeros_like(similarity, dtype=torch.bool).scatter_(1, torch.tensor(order), True)
    return torch.where(kept, similarity, 0.0)


def similarities(evidence: Evidence, rows: np.ndarray, kernel: str) -> torch.Tensor:
    """0.5 + 0.5 cos of the last layer's gradients, kernel "gradient", or of the features, "features"."""
    check_choice("kernel", kernel, ("gradient", "features"))
    vectors = gradients(evidence) if kernel == "gradient" else require(evidence, "features")
    return cosine_similarities(vectors[rows])


def maximize(gains_of: Gains, n: int, k: int, rng: np.random.RandomState, greedy: str = "lazy", epsilon: float = 0.1,
             beta: float = 0.9) -> list[int]:
    """Pick k positions below n, in pick order, by their gains.

    Args:
        gains_of: ``gains_of(picked)`` -> the gain (n,) of each further element.
        n: size of the pool.
        k: how many to pick.
        rng: of "stochastic".
        greedy: "naive" and "lazy", which is a faster way to the same picks: the best gain each time.
            "approximate_lazy": gains are refreshed from the top of an outdated list, and the first that is at least
            ``stale - (1 - beta) |stale|`` is taken. "stochastic": the best of max(round(-ln(epsilon) n / k), 1) that
            ``rng`` draws from those left.
        epsilon: in (0, 1), of "stochastic".
        beta: in (0, 1], of "approximate_lazy".

    Returns:
        k positions.
    """
    if greedy == "deepcore_lazy":
        return _deepcore_lazy(gains_of, n, k)
    check_choice("greedy", greedy, GREEDY)
    if greedy == "approximate_lazy":
        return _approximate_lazy(gains_of, n, k, beta)
    if greedy == "stochastic":
        return _stochastic(gains_of, n, k, rng, epsilon)
    return best_in_turn(gains_of, n, k, _first_gain(gains_of))


def _first_gain(gains_of: Gains) -> float:
    """The first pick's gain: later ones are differences of numbers of this size, with its rounding errors."""
    return abs(float(gains_of([]).max()))


def _deepcore_lazy(gains_of: Gains, n: int, k: int) -> list[int]:
    """The top of an outdated list is brought up to date until it stays the top. Source: DeepCore's LazyGreedy."""
    picked: list[int] = []
    stale = gains_of([]).clone()
    for _ in range(k):
        left, gains = np.setdiff1d(np.arange(n), picked), gains_of(picked)
        best, confirmed = -torch.inf, None
        while (top := first_best(stale, left)) != confirmed:
            stale[top] = gains[top]
            if gains[top] >= best:
                best, confirmed = gains[top], top
        picked.append(top)
    return picked


def _approximate_lazy(gains_of: Gains, n: int, k: int, beta: float) -> list[int]:
    """Source: DeepCore's ApproximateLazyGreedy, with a test that also ends when gains are negative."""
    picked: list[int] = []
    stale, scale = gains_of([]).clone(), _first_gain(gains_of)
    for _ in range(k):
        left, gains = np.setdiff1d(np.arange(n), picked), gains_of(picked)
        top = first_best(stale, left, scale)
        while gains[top] < stale[top] - (1 - beta) * abs(stale[top]):
            stale[top] = gains[top]
            top = first_best(stale, left, scale)
        picked.append(top)
    return picked


def _stochastic(gains_of: Gains, n: int, k: int, rng: np.random.RandomState, epsilon: float) -> list[int]:
    """Source: Mirzasoleiman et al., Lazier than Lazy Greedy, AAAI 2015."""
    size = max(round(-math.log(epsilon) * n / k), 1)
    picked: list[int] = []
    scale = None
    for _ in range(k):
        left = np.setdiff1d(np.arange(n), picked)
        drawn = np.sort(rng.choice(left, min(size, len(left)), replace=False))
        gains = gains_of(picked)
        scale = abs(float(gains[drawn].max())) if scale is None else scale
        picked.append(first_best(gains, drawn, scale))
    return picked


def _select(gains_of: Callable[[torch.Tensor, list[int]], torch.Tensor], evidence: Evidence, rate: float, balance: bool,
            seed: int, kernel: str, options: dict[str, Any]) -> Picks:
    rng = np.random.RandomState(seed)
    parts = []
    for rows, k in budgets(evidence.labels, rate, balance):
        similarity = similarities(evidence, rows, kernel)
        parts.append(rows[maximize(partial(gains_of, similarity), len(rows), k, rng, **options)])
    return join(parts), None, None
