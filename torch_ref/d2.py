"""D2 pruning."""

from torch_ref.evidence import Evidence
from torch_ref.quota import Picks
from torch_ref.score_and_rule import by_score


def d2(evidence: Evidence, rate: float, balance: bool, seed: int, score: str = "forgetting", neighbors: int = 5,
       gamma: float = 0.1, density: str = "sum", discount: str = "weighted", symmetric: bool = True,
       scale: str = "none", mis_ratio: float = 0.0, cutoff_score: str = "accumulated_margin") -> Picks:
    """The rule ``d2`` on a score.

    Args:
        evidence: what is known of the samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate holds for each class by itself.
        seed: of the random generator.
        score: name of the score.
        neighbors: see ``messages``.
        gamma: see ``messages``.
        density: see ``messages``.
        discount: see ``messages``.
        symmetric: see ``messages``.
        scale: see ``messages``.
        mis_ratio: see ``messages``.
        cutoff_score: see ``messages``.

    Returns:
        The places of the picks, in pick order, with weights and scores where the method has any.
    """
    return by_score(evidence, rate, balance, seed, score, "d2", neighbors=neighbors, gamma=gamma, density=density,
                    discount=discount, symmetric=symmetric, scale=scale, mis_ratio=mis_ratio,
                    cutoff_score=cutoff_score)
