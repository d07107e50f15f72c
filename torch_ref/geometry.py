"""Methods that look at where samples lie: herding, geometric median matching, k-centre and contextual diversity."""

import numpy as np
import torch

from torch_ref.pools import best_in_turn, budgets, first_best, joined
from torch_ref.quantities import check_choice, features_in, log_probabilities


def herding(evidence, rate, balance, seed, variant="paper", metric="euclidean"):
    """Samples whose running mean stays near the mean of all: pick t minimises ||t mu - sum_S e - e_i||.

    variant: "deepcore" takes the farthest instead of the nearest
    metric: "euclidean", or "cosine": features at length 1

    Source: Welling, ICML 2009; Rebuffi et al., iCaRL, CVPR 2017, algorithm 4.
    """
    check_choice("variant", variant, ("paper", "deepcore"))
    features = features_in(evidence, metric)
    sign = 1 if variant == "deepcore" else -1

    def pick(rows, k):
        # Counted from the mean, far from the origin no digits are lost.
        pool = features[rows] - features[rows].mean(dim=0)
        pool -= pool.mean(dim=0)

        def values_of(picked):
            return sign * _distances(pool, -pool[picked].sum(dim=0))

        return rows[best_in_turn(values_of, len(rows), k, float(pool.norm(dim=1).max()))]

    return joined(pick(rows, k) for rows, k in budgets(evidence.labels, rate, balance)), None, None


def gm_matching(evidence, rate, balance, seed, metric="cosine", start="median"):
    """In each class picks whose mean is drawn to its geometric median mu: argmax <theta, x>, theta += mu - x.

    metric: "cosine", x and mu at length 1, or "euclidean", where the pick is the nearest to theta
    start: theta in the beginning: "median", mu; "mean"; or "random", a row of ``RandomState(seed).randint(n_c)``
    Not balanced, classes share the budget in proportion to their sizes, largest remainders first.

    Source: Acharya et al., Geometric Median Matching, ICML 2025.
    """
    check_choice("start", start, ("median", "mean", "random"))
    labels, given, unit = np.asarray(evidence.labels), features_in(evidence, "euclidean"), features_in(evidence, metric)

    def of_class(rows, k):
        center, pool = geometric_median(given[rows]), unit[rows]
        if metric == "cosine":
            center = center / center.norm().clamp(min=torch.finfo(torch.float64).tiny)
        else:
            pool, center = pool - center, torch.zeros_like(center)
        drawn = np.random.RandomState(seed).randint(len(rows))
        theta = {"median": center, "mean": pool.mean(dim=0), "random": pool[drawn]}[start]
        squares, picked = pool.square().sum(dim=1), []
        for _ in range(k):
            gains = pool @ theta - (squares / 2 if metric == "euclidean" else 0)
            picked.append(first_best(gains, np.setdiff1d(np.arange(len(rows)), picked), float(squares.max())))
            theta = theta + center - pool[picked[-1]]
        return rows[picked]

    def pick(rows, k):
        members = [rows[labels[rows] == label] for label in np.unique(labels[rows])]
        exact = np.array([len(each) for each in members]) * k
        shares = exact // len(rows)
        shares[np.argsort(-(exact % len(rows)), kind="stable")[:k - shares.sum()]] += 1
        return joined(of_class(each, share) for each, share in zip(members, shares, strict=True))

    return joined(pick(rows, k) for rows, k in budgets(labels, rate, balance)), None, None


def geometric_median(rows):
    """The point of least summed distance to the rows, (d,), by Weiszfeld's steps from their mean."""
    start = rows[0] + (rows - rows[0]).mean(dim=0)
    rows, point = rows - start, torch.zeros_like(start)
    for _ in range(5000):
        apart = _distances(rows, point)
        scale = apart.mean()
        if scale == 0:
            break
        inverse = 1 / apart.clamp(min=1e-8 * scale)
        before, point = point, (rows * inverse[:, None]).sum(dim=0) / inverse.sum()
        if (point - before).norm() <= 1e-6 * scale:
            break
    return start + point


def k_center(evidence, rate, balance, seed, already_selected=(), metric="euclidean"):
    """Farthest first: each pick is the sample farthest from all picked so far.

    The first is ``RandomState(seed).randint(m)`` of each pool of m, as in DeepCore.
    already_selected: positions that are centres beforehand; the budget is added to them, and they come first
    metric: "euclidean", or "cosine": features at length 1

    Source: Sener and Savarese, ICLR 2018, algorithm 1.
    """
    features = features_in(evidence, metric)
    already = np.array(already_selected, np.int64)

    def pick(rows, k):
        centres = [int(np.flatnonzero(rows == row)[0]) for row in already[np.isin(already, rows)]]
        pool = features[rows]
        return rows[_farthest_first(lambda i: _distances(pool, pool[i]), len(rows), k, seed, centres)[len(centres):]]

    added = [pick(rows, k) for rows, k in budgets(evidence.labels, rate, balance)]
    return joined([already, *added] if added else []), None, None


def contextual_diversity(evidence, rate, balance, seed):
    """k-centre with D(p, q) = 0.5 sum_c (p_c - q_c) (log p_c - log q_c), the symmetric KL of class probabilities.

    Source: Agarwal et al., ECCV 2020; DeepCore's simplification, in logarithms so that nothing underflows.
    """
    log_p = log_probabilities(evidence)

    def pick(rows, k):
        pool = log_p[rows]
        return rows[_farthest_first(lambda i: divergences(pool, pool[i]), len(rows), k, seed)]

    return joined(pick(rows, k) for rows, k in budgets(evidence.labels, rate, balance)), None, None


def divergences(log_p, log_q):
    """Symmetric KL, 0.5 sum_c (p_c - q_c) (log p_c - log q_c), of the rows of ``log_p`` and ``log_q``."""
    return 0.5 * ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(dim=-1)


def _farthest_first(distances_from, n, k, seed, centres=()):
    picked = list(centres) or [np.random.RandomState(seed).randint(n)]
    radius = torch.stack([distances_from(i) for i in picked]).amin(dim=0)
    while len(picked) < len(centres) + k:
        picked.append(first_best(radius, np.setdiff1d(np.arange(n), picked)))
        radius = torch.minimum(radius, distances_from(picked[-1]))
    return picked


def _distances(rows, point):
    """||x_i - point||."""
    return (rows - point).square().sum(dim=1).sqrt()
