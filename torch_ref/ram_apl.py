"""RAM-APL as a method: its score depends on the rate."""

from torch_ref.evidence import Evidence
from torch_ref.quota import Picks
from torch_ref.score_and_rule import by_score


def ram_apl(evidence: Evidence, rate: float, balance: bool, seed: int, a: float = 0.2, kappa: float = 1.0) -> Picks:
    """The highest of the score ``ram_apl``, with the rate as the share that is kept (Wan et al., ICML 2025).

    Args:
        evidence: arrays about the n samples.
        rate: share of the samples to keep, in (0, 1].
        balance: whether the rate applies to each class by itself.
        seed: of the random generator.
        a: lower bound of W, in [0, 1].
        kappa: how fast W falls with the rate.

    Returns:
        (indices, weights, scores): places of the picks in pick order; weights of the picks, or None; scores of all
        samples, or None.
    """
    return by_score(evidence, rate, balance, seed, "ram_apl", "top", kept=rate, a=a, kappa=kappa)
