"""Geometric median matching."""

import numpy as np
import torch

from torch_ref.centers import geometric_median
from torch_ref.distances import features_in
from torch_ref.evidence import Evidence, check_choice
from torch_ref.quota import Picks, budgets, first_best, join


def gm_matching(evidence: Evidence, rate: float, balance: bool, seed: int, metric: str = "cosine",
                start: str = "median") -> Picks:
    """In each class, picks whose mean approaches its geometric median mu: argmax <theta, x>, theta += mu - x.

    Not balanced, classes share the budget in proportion to their sizes, largest remainders first.

    Source: Acharya et al., Geometric Median Matching, ICML 2025.

    Args:
        evidence: arrays about the n samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate applies to each class by itself.
        seed: of the random generator.
        metric: "cosine", x and mu at length 1, or "euclidean", where the pick is the nearest to theta.
        start: theta in the beginning: "median", mu; "mean"; or "random", a row of ``RandomState(seed).randint(n_c)``.

    Returns:
        (indices, weights, scores): places of the picks in pick order; weights of the picks, or None; scores of all
        samples, or None.
    """
    check_choice("start", start, ("median", "mean", "random"))
    labels, given, unit = np.asarray(evidence.labels), features_in(evidence, "euclidean"), features_in(evidence, metric)

    def of_class(rows: np.ndarray, k: int) -> np.ndarray:
        center, pool = geometric_median(given[rows]), unit[rows]
        if metric == "cosine":
            center = center / center.norm().clamp(min=torch.finfo(torch.float64).tiny)
        else:
            pool, center = pool - center, torch.zeros_like(center)
        drawn = np.random.RandomState(seed).randint(len(rows))
        theta = {"median": center, "mean": pool.mean(dim=0), "random": pool[drawn]}[start]
        squares = pool.square().sum(dim=1)
        picked: list[int] = []
        for _ in range(k):
            gains = pool @ theta - (squares / 2 if metric == "euclidean" else 0)
            picked.append(first_best(gains, np.setdiff1d(np.arange(len(rows)), picked), float(squares.max())))
            theta = theta + center - pool[picked[-1]]
        return rows[picked]

    def pick(rows: np.ndarray, k: int) -> np.ndarray:
        members = [rows[labels[rows] == label] for label in np.unique(labels[rows])]
        exact = np.array([len(each) for each in members]) * k
        shares = exact // len(rows)
        shares[np.argsort(-(exact % len(rows)), kind="stable")[:k - shares.sum()]] += 1
        return join(of_class(each, share) for each, share in zip(members, shares, strict=True))

    return join(pick(rows, k) for rows, k in budgets(labels, rate, balance)), None, None
