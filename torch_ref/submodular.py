"""Set functions of a similarity kernel, and greedy maximization."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from torch_ref.distances import cosine_similarities, distances
from torch_ref.evidence import Evidence, check_choice, require
from torch_ref.last_layer_gradients import gradients
from torch_ref.quota import Picks, Purse, best_in_turn, budgets, first_best, join, pools

Gains = Callable[[list[int]], torch.Tensor]  # of every further element, (n,)
Kernel = Callable[[np.ndarray, np.ndarray], np.ndarray]  # similarities (a, b) of rows (a, d) and (b, d)
Ranking = tuple[list[int], list[float]]  # positions in pick order, and the gain of each
GREEDY = ("lazy", "naive", "two_stage", "approximate_lazy", "stochastic", "sample", "modular")


def facility_location(evidence: Evidence, rate: float, balance: bool, seed: int, kernel: str = "gradient",
                      greedy: str = "lazy", epsilon: float = 0.1, beta: float = 0.9,
                      neighbors: int | None = None, gamma: float | None = None,
                      already_selected: Sequence[int] = ()) -> Picks:
    """Maximize f(S) = sum_i max(0, max_{j in S} s_ij).

    Args:
        evidence: arrays about the n samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate applies to each class by itself.
        seed: of the random generator.
        kernel: see ``similarities``.
        greedy: name of the greedy maximizer, see ``submodular.maximize``.
        epsilon: of the "stochastic" maximizer, in (0, 1).
        beta: of the "approximate_lazy" maximizer, in (0, 1].
        neighbors: number of largest similarities of each row that count, the others are 0; None: all.
        gamma: of the kernel "rbf".
        already_selected: places to which the budget is added; they come first.

    Returns:
        (indices, weights, scores, gains): places of the picks in pick order; None; None; what each pick added.
    """
    options = {"greedy": greedy, "epsilon": epsilon, "beta": beta}

    def gains(similarity: torch.Tensor, picked: list[int]) -> torch.Tensor:
        return facility_location_gains(largest_of_rows(similarity, neighbors), picked)

    return _select(gains if neighbors else facility_location_gains, evidence, rate, balance, seed, kernel, options,
                   gamma, already_selected)


def graph_cut(evidence: Evidence, rate: float, balance: bool, seed: int, lam: float = 1.0, kernel: str = "gradient",
              greedy: str = "lazy", epsilon: float = 0.1, beta: float = 0.9, gamma: float | None = None,
              already_selected: Sequence[int] = ()) -> Picks:
    """Maximize lam sum_{i in V, j in S} s_ij - sum_{i, j in S} s_ij.

    Args:
        evidence: arrays about the n samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate applies to each class by itself.
        seed: of the random generator.
        lam: at least 0.
        kernel: see ``similarities``.
        greedy: name of the greedy maximizer, see ``submodular.maximize``.
        epsilon: of the "stochastic" maximizer, in (0, 1).
        beta: of the "approximate_lazy" maximizer, in (0, 1].
        gamma: of the kernel "rbf".
        already_selected: places to which the budget is added; they come first.

    Returns:
        (indices, weights, scores, gains): places of the picks in pick order; None; None; what each pick added.
    """
    options = {"greedy": greedy, "epsilon": epsilon, "beta": beta}
    return _select(lambda s, picked: graph_cut_gains(s, picked, lam), evidence, rate, balance, seed, kernel, options,
                   gamma, already_selected)


def log_determinant(evidence: Evidence, rate: float, balance: bool, seed: int, jitter: float = 1e-6,
                    kernel: str = "gradient", greedy: str = "lazy", epsilon: float = 0.1, beta: float = 0.9,
                    variant: str = "paper", gamma: float | None = None,
                    already_selected: Sequence[int] = ()) -> Picks:
    """Maximize log det(s_SS + jitter I).

    Source: Chen et al., fast greedy MAP inference for DPPs, NeurIPS 2018.

    Args:
        evidence: arrays about the n samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate applies to each class by itself.
        seed: of the random generator.
        jitter: above 0, added to the diagonal.
        kernel: see ``similarities``.
        greedy: name of the greedy maximizer, see ``submodular.maximize``.
        epsilon: of the "stochastic" maximizer, in (0, 1).
        beta: of the "approximate_lazy" maximizer, in (0, 1].
        variant: "paper", or "deepcore", which maximizes what S explains instead, with the sign of DeepCore's code; see
            ``explained_gains``.
        gamma: of the kernel "rbf".
        already_selected: places to which the budget is added; they come first.

    Returns:
        (indices, weights, scores, gains): places of the picks in pick order; None; None; what each pick added.
    """
    check_choice("variant", variant, ("paper", "deepcore"))
    if kernel == "euclidean":
        raise ValueError("kernel euclidean: differences of squared distances are no inner products")
    if not jitter > 0:
        raise ValueError(f"jitter is {jitter}, must be above 0")
    if variant == "deepcore":
        # These gains grow with S, so that the lazy algorithm is not a way to the naive one's picks.
        options = {"greedy": "deepcore_lazy" if greedy == "lazy" else greedy, "epsilon": epsilon, "beta": beta}
        return _select(explained_gains, evidence, rate, balance, seed, kernel, options, gamma, already_selected, True)

    def gains(similarity: torch.Tensor, picked: list[int]) -> torch.Tensor:
        return log_determinant_gains(similarity, picked, jitter)

    options = {"greedy": greedy, "epsilon": epsilon, "beta": beta}
    return _select(gains, evidence, rate, balance, seed, kernel, options, gamma, already_selected, True)


def saturated_coverage(evidence: Evidence, rate: float, balance: bool, seed: int, alpha: float = 0.1,
                       kernel: str = "gradient", greedy: str = "lazy", epsilon: float = 0.1, beta: float = 0.9,
                       gamma: float | None = None, already_selected: Sequence[int] = ()) -> Picks:
    """Maximize sum_{i in V} min(sum_{j in S} s_ij, alpha sum_{j in V} s_ij).

    Source: Lin & Bilmes, ACL 2011.

    Args:
        evidence: arrays about the n samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate applies to each class by itself.
        seed: of the random generator.
        alpha: above 0, at most 1.
        kernel: see ``similarities``.
        greedy: name of the greedy maximizer, see ``submodular.maximize``.
        epsilon: of the "stochastic" maximizer, in (0, 1).
        beta: of the "approximate_lazy" maximizer, in (0, 1].
        gamma: of the kernel "rbf".
        already_selected: places to which the budget is added; they come first.

    Returns:
        (indices, weights, scores, gains): places of the picks in pick order; None; None; what each pick added.
    """
    if not 0 < alpha <= 1:
        raise ValueError(f"alpha is {alpha}, must be above 0 and at most 1")
    options = {"greedy": greedy, "epsilon": epsilon, "beta": beta}
    return _select(lambda s, picked: saturated_gains(s, picked, alpha), evidence, rate, balance, seed, kernel, options,
                   gamma, already_selected)


def sum_redundancy(evidence: Evidence, rate: float, balance: bool, seed: int, kernel: str = "gradient",
                   greedy: str = "lazy", epsilon: float = 0.1, beta: float = 0.9, gamma: float | None = None,
                   already_selected: Sequence[int] = ()) -> Picks:
    """Maximize -sum_{i, j in S} s_ij.

    Args:
        evidence: arrays about the n samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate applies to each class by itself.
        seed: of the random generator.
        kernel: see ``similarities``.
        greedy: name of the greedy maximizer, see ``submodular.maximize``.
        epsilon: of the "stochastic" maximizer, in (0, 1).
        beta: of the "approximate_lazy" maximizer, in (0, 1].
        gamma: of the kernel "rbf".
        already_selected: places to which the budget is added; they come first.

    Returns:
        (indices, weights, scores, gains): places of the picks in pick order; None; None; what each pick added.
    """
    options = {"greedy": greedy, "epsilon": epsilon, "beta": beta}
    return _select(redundancy_gains, evidence, rate, balance, seed, kernel, options, gamma,
                   already_selected)


def facility_location_gains(similarity: torch.Tensor, picked: list[int]) -> torch.Tensor:
    """f(S + j) - f(S) = sum_i max(0, s_ij - max(0, max_{m in S} s_im)) of every j."""
    covered = torch.zeros(len(similarity), dtype=similarity.dtype)
    if picked:
        covered = similarity[:, picked].amax(dim=1).clamp(min=0)
    return (similarity - covered[:, None]).clamp(min=0).sum(dim=0)


def graph_cut_gains(similarity: torch.Tensor, picked: list[int], lam: float) -> torch.Tensor:
    """Gain lam sum_i s_ij - 2 sum_{i in S} s_ij - s_jj of every j."""
    return lam * similarity.sum(dim=0) - 2 * similarity[picked].sum(dim=0) - similarity.diagonal()


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


def similarities(evidence: Evidence, rows: np.ndarray, kernel: str | Kernel,
                 gamma: float | None = None) -> torch.Tensor:
    """The similarities (m, m) of the samples ``rows``.

    Args:
        evidence: arrays about the n samples.
        rows: (m,) places.
        kernel: 0.5 + 0.5 cos of the last layer's gradients, "gradient", or of the features, "features". Of features:
            "cosine", cos^2; "correlation", Pearson's r^2; "euclidean", max d^2 - d^2; "rbf", exp(-gamma d^2); "dot",
            the inner product; or a function of (a, d) and (b, d) arrays that returns (a, b). "precomputed": the
            evidence's.
        gamma: of "rbf"; None: 1 / d.

    Returns:
        (m, m).

    Raises:
        ValueError: for another kernel, and similarities that are not finite or not symmetric.
    """
    if kernel == "precomputed":
        return _given(evidence, rows)
    if kernel == "gradient":
        return cosine_similarities(gradients(evidence)[rows])
    features = require(evidence, "features")[rows]
    if callable(kernel):
        part = np.asarray(evidence.features)[rows]
        return torch.tensor(np.array(kernel(part, part), np.float64))
    check_choice("kernel", kernel, KERNELS)
    return _OF_FEATURES[kernel](features) if kernel != "rbf" else torch.exp(
        -(gamma or 1 / features.shape[1]) * distances(features, 0.0).square())


def _squared_correlations(features: torch.Tensor) -> torch.Tensor:
    offsets = features - features.mean(dim=1, keepdim=True)
    constant = offsets.abs().amax(dim=1) <= 1e-12 * features.abs().amax(dim=1)
    return _squared_cosines(torch.where(constant[:, None], 0.0, offsets))


def _squared_cosines(features: torch.Tensor) -> torch.Tensor:
    return (2 * cosine_similarities(features) - 1).square()


def _below_the_farthest(features: torch.Tensor) -> torch.Tensor:
    apart = distances(features, 0.0).square()
    return apart.max() - apart


_OF_FEATURES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "features": cosine_similarities, "cosine": _squared_cosines, "correlation": _squared_correlations,
    "euclidean": _below_the_farthest, "dot": lambda features: features @ features.T}
KERNELS = ("gradient", *_OF_FEATURES, "rbf", "precomputed")


def _given(evidence: Evidence, rows: np.ndarray) -> torch.Tensor:
    """The similarities in the evidence."""
    if evidence.similarity is None:
        raise ValueError("evidence lacks similarity")
    given: Any = evidence.similarity
    whole = torch.tensor(np.array(given.toarray() if hasattr(given, "toarray") else given, np.float64))
    if whole.shape != 2 * (len(whole),) or not torch.isfinite(whole).all():
        raise ValueError("similarity must be finite numbers, (n, n)")
    if (whole - whole.T).abs().max() > 1e-6 * whole.abs().max():
        raise ValueError("similarity must be symmetric")
    return whole[rows][:, rows]


def maximize(gains_of: Gains, n: int, k: int, rng: np.random.RandomState, greedy: str = "lazy", epsilon: float = 0.1,
             beta: float = 0.9) -> list[int]:
    """Pick k positions below n, in pick order, by their gains.

    Args:
        gains_of: ``gains_of(picked)`` -> the gain (n,) of each further element.
        n: size of the pool.
        k: how many to pick.
        rng: of "stochastic".
        greedy: "naive", and "lazy" and "two_stage", which are faster ways to the same picks: the best gain each time.
            "modular": the best first gains. "sample": the best gains of the share beta of the elements, drawn once.
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
    if greedy == "bidirectional":
        return _bidirectional(gains_of, n, k, rng)
    check_choice("greedy", greedy, GREEDY)
    if greedy == "modular":
        first = gains_of([])
        return best_in_turn(lambda picked: first, n, k, _first_gain(gains_of))
    if greedy == "sample":
        left = np.setdiff1d(np.arange(n), rng.choice(n, n - max(int(beta * n), k), replace=False))
        among = maximize(lambda picked: gains_of(left[picked].tolist())[left], len(left), k, rng)
        return left[among].tolist()
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


def _bidirectional(gains_of: Gains, n: int, k: int, rng: np.random.RandomState) -> list[int]:
    """Source: Buchbinder et al., FOCS 2012, Algorithm 2, stopped after k; what lacks is filled up with the best."""
    picked: list[int] = []
    rest = list(range(n))
    for place in rng.permutation(n).tolist():
        others = [other for other in rest if other != place]
        join, leave = (max(gain, 0.0) for gain in (float(gains_of(picked)[place]), -float(gains_of(others)[place])))
        if rng.random_sample() * (join + leave) <= join:
            picked.append(place)
        else:
            rest = others
        if len(picked) == k:
            return picked
    left = np.setdiff1d(np.arange(n), picked)
    scale = abs(float(gains_of(picked)[left].max()))
    while len(picked) < k:
        left = np.setdiff1d(np.arange(n), picked)
        picked.append(first_best(gains_of(picked), left, scale))
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
            seed: int, kernel: str | Kernel, options: dict[str, Any], gamma: float | None = None,
            already_selected: Sequence[int] = (), signed: bool = False) -> Picks:
    rng = np.random.RandomState(seed)

    def pick(rows: np.ndarray, k: int, already: list[int]) -> Ranking:
        similarity = similarities(evidence, rows, kernel, gamma)
        if not signed and similarity.min() < 0:
            raise ValueError(f"a similarity is {similarity.min()}: must be at least 0")
        return extend(partial(gains_of, similarity), len(rows), k, already, partial(maximize, rng=rng, **options))

    indices, gains = select_beyond(evidence.labels, rate, balance, already_selected, pick)
    return indices, None, None, gains


def extend(gains_of: Gains, n: int, k: Any, already: list[int],
           pick: Callable[[Gains, int, int], list[int]]) -> Ranking:
    """Positions that are already selected and k more, each with its gain at its time.

    Args:
        gains_of: see ``maximize``.
        n: size of the pool.
        k: how many to add, or a ``Purse``.
        already: positions, in the order of their choice.
        pick: (gains, m, k) -> k of m positions, as ``maximize``.

    Returns:
        (positions, gains).
    """
    if isinstance(k, Purse):
        return spend(gains_of, k)
    left = [place for place in range(n) if place not in already]
    added = pick(lambda picked: gains_of(already + [left[place] for place in picked])[left], len(left), k) if k else []
    order = already + [left[place] for place in added]
    return order, [float(gains_of(order[:t])[place]) for t, place in enumerate(order)]


def spend(gains_of: Gains, purse: Purse) -> Ranking:
    """Positions by the best gain for the cost each time, or by the best gain, whichever is worth more.

    Source: Leskovec et al., KDD 2007.

    Args:
        gains_of: see ``maximize``.
        purse: what the positions cost, and what may be spent.

    Returns:
        (positions, gains).
    """
    n, runs = len(purse.costs), []
    for divisor in (torch.tensor(purse.costs), torch.ones(n, dtype=torch.float64)):
        order: list[int] = []
        scale = None
        while True:
            paid = purse.costs[order].sum()
            affordable = np.flatnonzero(paid + purse.costs <= purse.budget * (1 + 1e-9))
            affordable = np.setdiff1d(affordable, order)
            if not len(affordable):
                break
            gains = gains_of(order) / divisor
            scale = abs(float(gains[affordable].max())) if scale is None else scale
            order.append(first_best(gains, affordable, scale))
        runs.append((order, [float(gains_of(order[:t])[place]) for t, place in enumerate(order)]))
    by_cost, by_gain = runs
    return by_gain if sum(by_gain[1]) > sum(by_cost[1]) * (1 + 1e-9) else by_cost


def select_beyond(labels: np.ndarray, rate: float, balance: bool, already_selected: Sequence[int],
                  pick: Callable[[np.ndarray, int, list[int]], Ranking],
                  groups_of: Callable = budgets) -> tuple[np.ndarray, np.ndarray]:
    """The places already selected, then those that ``pick`` adds in each group, and the gains of all.

    Args:
        labels: (n,), the class of each sample.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate applies to each class by itself.
        already_selected: places.
        pick: (rows, k, positions in rows that are already selected) -> ``extend`` of these.
        groups_of: (labels, rate, balance) -> pairs of rows and budget.

    Returns:
        (indices, gains); empty where the rate keeps nothing.
    """
    already, groups = np.array(already_selected, np.int64), groups_of(labels, rate, balance)
    if len(np.intersect1d(already, np.arange(len(labels)))) != len(already):
        raise ValueError(f"already_selected must be places from 0 to {len(labels) - 1}, each once")
    if not groups:
        return np.empty(0, np.int64), np.empty(0)
    covered = np.concatenate([rows for rows, _ in groups])
    others = [rows for rows in pools(labels, True) if not np.isin(rows, covered).any()]
    idle = [(rows, 0) for rows in others if np.isin(rows, already).any()]
    gains, parts = np.zeros(len(labels)), [already]
    for rows, k in [*groups, *idle]:
        before = [int(np.flatnonzero(rows == place)[0]) for place in already if place in rows]
        if not isinstance(k, Purse) and k > len(rows) - len(before):
            raise ValueError(f"fewer than {k} are left to add")
        order, found = pick(rows, k, before)
        gains[rows[order]] = found
        parts.append(rows[order[len(before):]])
    indices = join(parts)
    return indices, gains[indices]
