"""All samples, or a uniform share of them."""

import numpy as np

from torch_ref.evidence import Evidence
from torch_ref.quota import Picks, budgets, join


def full(evidence: Evidence, rate: float, balance: bool, seed: int) -> Picks:
    """Every sample, in data set order, whatever the rate.

    Args:
        evidence: what is known of the samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate holds for each class by itself.
        seed: of the random generator.

    Returns:
        The places of the picks, in pick order, with weights and scores where the method has any.
    """
    return np.arange(len(evidence.labels)), None, None


def random(evidence: Evidence, rate: float, balance: bool, seed: int) -> Picks:
    """A uniform sample without replacement: ``choice(members, round(rate * m))`` of each pool of m members.

    DeepCore's ``Uniform``: one ``RandomState(seed)`` serves all classes, in ascending order. A class whose budget
    is 0 draws nothing.

    Args:
        evidence: what is known of the samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate holds for each class by itself.
        seed: of the random generator.

    Returns:
        The places of the picks, in pick order, with weights and scores where the method has any.
    """
    rng = np.random.RandomState(seed)
    drawn = [rng.choice(rows, k, replace=False) for rows, k in budgets(evidence.labels, rate, balance)]
    return join(drawn), None, None
