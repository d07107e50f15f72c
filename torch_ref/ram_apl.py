"""RAM-APL as a method: its score weighs by the rate."""

from torch_ref.evidence import Evidence
from torch_ref.quota import Picks
from torch_ref.score_and_rule import by_score


def ram_apl(evidence: Evidence, rate: float, balance: bool, seed: int, a: float = 0.2, kappa: float = 1.0) -> Picks:
    """The highest of the score ``ram_apl``, of which the rate is the share that is kept (Wan et al., ICML 2025)."""
    return by_score(evidence, rate, balance, seed, "ram_apl", "top", kept=rate, a=a, kappa=kappa)
