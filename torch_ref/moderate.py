"""Moderate: the samples at a middle distance from their class's center."""

from torch_ref.evidence import Evidence
from torch_ref.quota import Picks
from torch_ref.score_and_rule import by_score


def moderate(evidence: Evidence, rate: float, balance: bool, seed: int, center: str = "median",
             metric: str = "euclidean", mis_ratio: float = 0.0, cutoff_score: str = "loss") -> Picks:
    """The samples whose distance to their class's center is in the middle of the ranking (Xia et al., ICLR 2023).

    Args:
        evidence: arrays about the n samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate applies to each class by itself.
        seed: of the random generator.
        center: see ``center_distance``.
        metric: "euclidean", or "cosine": features at length 1.
        mis_ratio: not in the paper: share of the samples, those with the highest ``cutoff_score``, that is left out
            first.
        cutoff_score: the score of the cut-off.

    Returns:
        (indices, weights, scores): places of the picks in pick order; weights of the picks, or None; scores of all
        samples, or None.
    """
    return by_score(evidence, rate, balance, seed, "center_distance", "window", mis_ratio=mis_ratio,
                    cutoff_score=cutoff_score, center=center, metric=metric)
