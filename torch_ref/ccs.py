"""Coverage-centric coreset selection (CCS)."""

from torch_ref.evidence import Evidence
from torch_ref.quota import Picks
from torch_ref.score_and_rule import by_score


def ccs(evidence: Evidence, rate: float, balance: bool, seed: int, score: str = "accumulated_margin", strata: int = 50,
        mis_ratio: float = 0.0, cutoff_score: str = "accumulated_margin") -> Picks:
    """Samples drawn evenly from strata of a score, without the hardest samples.

    See ``rules.spread_over_strata``. Source: Zheng et al., ICLR 2023, algorithm 1.

    Args:
        evidence: arrays about the n samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate applies to each class by itself.
        seed: of the random generator.
        score: the score that the strata are cut from.
        strata: number of intervals of equal width.
        mis_ratio: share of the samples, those with the highest ``cutoff_score``, that is left out.
        cutoff_score: the score of the cut-off.

    Returns:
        (indices, weights, scores): places of the picks in pick order; weights of the picks, or None; scores of all
        samples, or None.
    """
    return by_score(evidence, rate, balance, seed, score, "strata", strata=strata, mis_ratio=mis_ratio,
                    cutoff_score=cutoff_score)
