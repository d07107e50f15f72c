"""Prototypes as a method: the samples far from the center of their cluster, or near it."""

import numpy as np

from torch_ref.evidence import Evidence, check_choice
from torch_ref.quota import Picks, budgets, join
from torch_ref.scores import score
from torch_ref.scores.prototype import groups_for


def prototype(evidence: Evidence, rate: float, balance: bool, seed: int, keep: str = "hard",
              clusters: int | None = None, metric: str = "cosine", groups: str = "clusters", per_group: bool = False,
              cluster_seed: int = 0) -> Picks:
    """The samples of the highest score ``prototype``, or of the lowest (Sorscher et al., NeurIPS 2022).

    Args:
        evidence: what is known of the samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate holds for each class by itself.
        seed: of the random generator.
        keep: "hard", the highest, or "easy".
        clusters: see the score.
        metric: see the score.
        groups: see the score.
        per_group: whether the groups share the budget, see ``shares``.
        cluster_seed: see the score.

    Returns:
        The places of the picks, in pick order, with weights and scores where the method has any.
    """
    check_choice("keep", keep, ("hard", "easy"))
    options = {"clusters": clusters, "metric": metric, "groups": groups, "cluster_seed": cluster_seed}
    values = score("prototype", evidence, **options)
    numbers = groups_for(evidence, clusters, metric, groups, cluster_seed) if per_group else np.zeros(len(values))
    worst_first = values if keep == "easy" else -values

    def pick(rows: np.ndarray, k: int) -> np.ndarray:
        members = [rows[numbers[rows] == number] for number in np.unique(numbers[rows])]
        parts = zip(members, shares([len(each) for each in members], k), strict=True)
        return join(each[np.argsort(worst_first[each], kind="stable")[:share]] for each, share in parts)

    return join(pick(rows, k) for rows, k in budgets(evidence.labels, rate, balance)), None, values


def shares(sizes: list[int], k: int) -> list[int]:
    """How many of each, k in all: in proportion to sizes, at least 1 if k allows; the largest remainders get one more.

    Those whose share would be below 1 get 1; the others share the rest.
    """
    counts = np.array(sizes)
    exact = np.zeros(len(sizes))
    rest = np.ones(len(sizes), bool)
    if k >= len(sizes):
        while rest.any() and (low := rest & (counts * (k - (~rest).sum()) < counts[rest].sum())).any():
            rest &= ~low
        exact[~rest] = 1
    if rest.any():
        exact[rest] = counts[rest] * (k - (~rest).sum()) / counts[rest].sum()
    exact = np.round(exact, 9)
    found = np.floor(exact).astype(int)
    found[np.argsort(-np.round(exact - found, 9), kind="stable")[:k - found.sum()]] += 1
    return found.tolist()
