"""All samples, or a uniform share of them."""

import numpy as np

from torch_ref.evidence import Evidence
from torch_ref.quota import Picks, budgets, join


def full(evidence: Evidence, rate: float, balance: bool, seed: int) -> Picks:
    """Every sample, in data set order, whatever the rate.

    Args:
        evidence: arrays about the n samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate applies to each class by itself.
        seed: of the random generator.

    Returns:
        (indices, weights, scores): places of the picks in pick order; weights of the picks, or None; scores of all
        samples, or None.
    """
    return np.arange(len(evidence.labels)), None, None


def random(evidence: Evidence, rate: float, balance: bool, seed: int) -> Picks:
    """A uniform sample without replacement: ``choice(members, round(rate * m))`` of each pool of m members.

    DeepCore's ``Uniform``: one ``RandomState(seed)`` serves all classes, in ascending order. A class whose budget
    is 0 draws nothing.

    Args:
        evidence: arrays about the n samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate applies to each class by itself.
        seed: of the random generator.

    Returns:
        (indices, weights, scores): places of the picks in pick order; weights of the picks, or None; scores of all
        samples, or None.
    """
    rng = np.random.RandomState(seed)
    drawn = [rng.choice(rows, k, replace=False) for rows, k in budgets(evidence.labels, rate, balance)]
    return join(drawn), None, None
