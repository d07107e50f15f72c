"""Targeted selection: samples like a query set Q, or unlike a private set P."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from torch_ref.evidence import Evidence, check_choice
from torch_ref.quota import Picks
from torch_ref.submodular import Gains, Ranking, extend, maximize, select_beyond, similarities

# (similarity of all, places of the pool, of Q, of P) -> gains of the pool.
Function = Callable[[torch.Tensor, list[int], list[int], list[int]], Gains]


def targeted_facility_location(evidence: Evidence, rate: float, balance: bool, seed: int, eta: float = 1.0,
                               nu: float = 1.0, over: str = "all", kernel: str = "features", greedy: str = "lazy",
                               epsilon: float = 0.1, beta: float = 0.9, gamma: float | None = None,
                               already_selected: Sequence[int] = ()) -> Picks:
    """Maximize sum_i max(min(max_{j in S} s_ij, eta max_{j in Q} s_ij) - nu max_{j in P} s_ij, 0).

    Args:
        evidence: arrays about the n samples, with ``like``, Q, and ``unlike``, P, or without.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate applies to each class by itself.
        seed: of the random generator.
        eta: above 0.
        nu: above 0.
        over: "all", or "like": sum_{i in Q} max_{j in S} s_ij + eta sum_{j in S} max_{i in Q} s_ij.
        kernel: see ``submodular.similarities``.
        greedy: see ``submodular.maximize``.
        epsilon: see ``submodular.maximize``.
        beta: see ``submodular.maximize``.
        gamma: of the kernel "rbf".
        already_selected: places to which the budget is added; they come first.

    Returns:
        (indices, weights, scores, gains): places of the picks in pick order; None; None; what each pick added.
    """
    check_choice("over", over, ("all", "like"))
    _check_positive(eta=eta, nu=nu)
    if over == "like" and (evidence.like is None or evidence.unlike is not None):
        raise ValueError("over like needs evidence.like, and no evidence.unlike")

    def function(s: torch.Tensor, own: list[int], like: list[int], unlike: list[int]) -> Gains:
        if over == "like":
            return _gains(lambda chosen: s[like][:, chosen].amax(dim=1).sum()
                          + eta * s[like][:, chosen].amax(dim=0).sum(), own)
        high = eta * s[own][:, like].amax(dim=1) if like else torch.full((len(own),), torch.inf)
        low = nu * s[own][:, unlike].amax(dim=1) if unlike else torch.zeros(len(own))
        among = s[own][:, own]

        def gains(picked: list[int]) -> torch.Tensor:
            covered = among[:, picked].amax(dim=1, keepdim=True) if picked else torch.zeros(len(own), 1)
            now, then = (torch.minimum(reached, high[:, None]) - low[:, None]
                         for reached in (covered, torch.maximum(among, covered)))
            return (then.clamp(min=0) - now.clamp(min=0)).sum(dim=0)

        return gains

    return _select(evidence, rate, balance, seed, kernel, function, greedy, epsilon, beta, gamma,
                   already_selected)


def targeted_graph_cut(evidence: Evidence, rate: float, balance: bool, seed: int, lam: float = 1.0, nu: float = 1.0,
                       kernel: str = "features", greedy: str = "lazy", epsilon: float = 0.1, beta: float = 0.9,
                       gamma: float | None = None, already_selected: Sequence[int] = ()) -> Picks:
    """Maximize 2 sum_{i in Q, j in S} s_ij, or without Q graph cut less 2 nu sum_{i in P, j in S} s_ij.

    Args:
        evidence: arrays about the n samples, with ``like``, Q, and ``unlike``, P, or without.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate applies to each class by itself.
        seed: of the random generator.
        lam: at least 0.
        nu: above 0.
        kernel: see ``submodular.similarities``.
        greedy: see ``submodular.maximize``.
        epsilon: see ``submodular.maximize``.
        beta: see ``submodular.maximize``.
        gamma: of the kernel "rbf".
        already_selected: places to which the budget is added; they come first.

    Returns:
        (indices, weights, scores, gains): places of the picks in pick order; None; None; what each pick added.
    """
    _check_positive(nu=nu)
    if not lam >= 0:
        raise ValueError(f"lam is {lam}, must be at least 0")

    def function(s: torch.Tensor, own: list[int], like: list[int], unlike: list[int]) -> Gains:
        if like:
            return lambda picked: 2 * s[like][:, own].sum(dim=0)
        linear = lam * s[own][:, own].sum(dim=0) - 2 * nu * s[unlike][:, own].sum(dim=0) - s.diagonal()[own]
        return lambda picked: linear - 2 * s[picked][:, own].sum(dim=0)

    return _select(evidence, rate, balance, seed, kernel, function, greedy, epsilon, beta, gamma,
                   already_selected)


def targeted_log_determinant(evidence: Evidence, rate: float, balance: bool, seed: int, jitter: float = 1e-6,
                             eta: float = 1.0, nu: float = 1.0, kernel: str = "features", gamma: float | None = None,
                             already_selected: Sequence[int] = ()) -> Picks:
    """Maximize log det K_{S|P} - log det K_{S|P,Q}, or without Q log det K_{S|P}, with K = s + jitter I.

    Args:
        evidence: arrays about the n samples, with ``like``, Q, and ``unlike``, P, or without.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate applies to each class by itself.
        seed: not used.
        jitter: above 0.
        eta: what K_SQ is multiplied by, above 0, at most 1.
        nu: what K_SP is multiplied by, above 0, at most 1; K_PQ by both.
        kernel: see ``submodular.similarities``.
        gamma: of the kernel "rbf".
        already_selected: places to which the budget is added; they come first.

    Returns:
        (indices, weights, scores, gains): places of the picks in pick order; None; None; what each pick added.
    """
    _check_positive(jitter=jitter, eta=eta, nu=nu)
    if max(eta, nu) > 1:
        raise ValueError(f"eta {eta}, nu {nu}: must be at most 1")

    def function(s: torch.Tensor, own: list[int], like: list[int], unlike: list[int]) -> Gains:
        scales = torch.ones(len(s), dtype=s.dtype)
        scales[like], scales[unlike] = eta, nu
        whole = s * torch.outer(scales, scales)
        for side in (like, unlike):
            whole[torch.tensor(side, dtype=torch.long)[:, None], side] = s[side][:, side]
        whole += jitter * torch.eye(len(s), dtype=s.dtype)
        beyond = _conditional(whole, own, unlike)
        further = _conditional(whole, own, unlike + like)

        def gains(picked: list[int]) -> torch.Tensor:
            return _log_variances(beyond, picked) - (_log_variances(further, picked) if like else 0)

        return gains

    return _select(evidence, rate, balance, seed, kernel, function, "naive", 0.1, 0.9, gamma, already_selected)


def _conditional(whole: torch.Tensor, own: list[int], others: list[int]) -> torch.Tensor:
    """K_{own|others}, the Schur complement."""
    across = whole[own][:, others]
    return whole[own][:, own] - across @ torch.linalg.solve(whole[others][:, others], across.T)


def _log_variances(kernel: torch.Tensor, picked: list[int]) -> torch.Tensor:
    """log(K_jj - K_jS K_SS^-1 K_Sj) of every j, of at least 1e-12."""
    across = kernel[picked]
    explained = (across * torch.linalg.solve(across[:, picked], across)).sum(dim=0) if picked else 0
    return (kernel.diagonal() - explained).clamp(min=1e-12).log()


def _gains(value: Callable[[list[int]], torch.Tensor], own: list[int]) -> Gains:
    """The gains of a function by its values; that of the empty set is 0."""
    def gains(picked: list[int]) -> torch.Tensor:
        before = value(picked) if picked else 0
        return torch.stack([value([*picked, place]) - before for place in own])

    return gains


def _check_positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not number > 0:
            raise ValueError(f"{name} is {number}, must be above 0")


def _select(evidence: Evidence, rate: float, balance: bool, seed: int, kernel: str, function: Function, greedy: str,
            epsilon: float, beta: float, gamma: float | None, already_selected: Sequence[int]) -> Picks:
    rng = np.random.RandomState(seed)
    sides = [side for side in (_as_evidence(evidence.like), _as_evidence(evidence.unlike)) if side is not None]
    q = 0 if evidence.like is None else len(sides[0].labels)

    def pick(rows: np.ndarray, k: int, already: list[int]) -> Ranking:
        whole, size = _join(evidence, rows, sides, kernel)
        own, others = list(range(len(rows))), list(range(len(rows), size))
        gains = function(similarities(whole, np.arange(size), kernel, gamma), own, others[:q], others[q:])
        return extend(gains, len(rows), k, already,
                      partial(maximize, rng=rng, greedy=greedy, epsilon=epsilon, beta=beta))

    indices, gains = select_beyond(evidence.labels, rate, balance, already_selected, pick)
    return indices, None, None, gains


def _join(evidence: Evidence, rows: np.ndarray, sides: list[Evidence], kernel: str) -> tuple[Evidence, int]:
    """The samples ``rows``, then those of the sides, and how many they are."""
    if kernel == "precomputed":
        if sides:
            raise ValueError("precomputed similarities say nothing of the samples to be like or unlike")
        return Evidence(np.zeros(len(rows), int), similarity=np.asarray(evidence.similarity)[rows][:, rows]), len(rows)
    fields = ("labels", "features", "logits") if kernel == "gradient" else ("labels", "features")
    whole = {name: np.concatenate([np.asarray(getattr(evidence, name))[rows],
                                   *(np.asarray(getattr(side, name)) for side in sides)]) for name in fields}
    return Evidence(**whole), len(whole["labels"])


def _as_evidence(side: Any) -> Evidence | None:
    """Samples to be like or unlike, of which the features may be given alone."""
    return side if side is None or isinstance(side, Evidence) else Evidence(np.zeros(len(side), int), np.asarray(side))
