"""Contextual diversity: samples whose probabilities are unlike one another."""

import numpy as np

from torch_ref.divergences import divergences
from torch_ref.evidence import Evidence, log_probabilities
from torch_ref.farthest_first import farthest_first
from torch_ref.quota import Picks, budgets, join


def contextual_diversity(evidence: Evidence, rate: float, balance: bool, seed: int) -> Picks:
    """k-center with D(p, q) = 0.5 sum_c (p_c - q_c) (log p_c - log q_c), the symmetric KL of class probabilities.

    Source: Agarwal et al., ECCV 2020; DeepCore's simplification, in logarithms so that nothing underflows.

    Args:
        evidence: arrays about the n samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate applies to each class by itself.
        seed: of the random generator.

    Returns:
        (indices, weights, scores): places of the picks in pick order; weights of the picks, or None; scores of all
        samples, or None.
    """
    log_p = log_probabilities(evidence)

    def pick(rows: np.ndarray, k: int) -> np.ndarray:
        pool = log_p[rows]
        return rows[farthest_first(lambda i: divergences(pool, pool[i]), len(rows), k, seed)]

    return join(pick(rows, k) for rows, k in budgets(evidence.labels, rate, balance)), None, None
