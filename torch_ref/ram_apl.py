"""RAM-APL as a method: its score weighs by the rate."""

from torch_ref.evidence import Evidence
from torch_ref.quota import Picks
from torch_ref.score_and_rule import by_score


def ram_apl(evidence: Evidence, rate: float, balance: bool, seed: int, a: float = 0.2, kappa: float = 1.0) -> Picks:
    """The highest of the score ``ram_apl``, with the rate as the share that is kept (Wan et al., ICML 2025).

    Args:
        evidence: what is known of the samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate holds for each class by itself.
        seed: of the random generator.
        a: the least W, in [0, 1].
        kappa: how fast W falls with the rate.

    Returns:
        The places of the picks, in pick order, with weights and scores where the method has any.
    """
    return by_score(evidence, rate, balance, seed, "ram_apl", "top", kept=rate, a=a, kappa=kappa)
