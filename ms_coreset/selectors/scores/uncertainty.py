"""Uncertainty of a network about a sample: least confidence, entropy, margin."""

import numpy as np

from ms_coreset.evidence import Evidence, require_field
from ms_coreset.rows import row_wise
from ms_coreset.selectors.catalogue import score
from ms_coreset.selectors.estimate import row_by_row
from ms_coreset.selectors.option_values import Variant
from ms_coreset.softmax import log_softmax, softmax

_SOURCE = "Coleman et al., Selection via Proxy, ICLR 2020, eq. 1-3; Guo et al., DeepCore, 2022, eq. 2"


@score("least_confidence", needs=("logits",), labels=False, cost="n C", work=row_by_row, parallel="samples",
       source=_SOURCE, aliases=("LeastConfidence",))
def least_confidence(evidence: Evidence, variant: Variant = "paper") -> np.ndarray:
    """One minus the largest class probability, 1 - max_c p_c.

    Args:
        evidence: with labels and ``logits``.
        variant: "paper", or "deepcore": minus the largest logit, -max_c z_c, without softmax.

    Returns:
        (n,) float64 in [0, 1 - 1/C] ("deepcore": any value); high = unsure = keep.
    """
    if variant == "deepcore":
        return row_wise(lambda logits: -logits.max(axis=1).astype(np.float64), require_field(evidence.logits))
    return row_wise(lambda logits: 1 - softmax(logits).max(axis=1), require_field(evidence.logits))


@score("entropy", needs=("logits",), labels=False, cost="n C", work=row_by_row, parallel="samples", source=_SOURCE,
       aliases=("Uncertainty",))
def entropy(evidence: Evidence, variant: Variant = "paper") -> np.ndarray:
    """Entropy of the class probabilities, -sum_c p_c log p_c.

    Args:
        evidence: with labels and ``logits``.
        variant: "paper", or "deepcore": -sum_c p_c log(p_c + 1e-6).

    Returns:
        (n,) float64 in [0, log C] nats; high = unsure = keep.
    """
    def of_rows(logits: np.ndarray) -> np.ndarray:
        log_p = log_softmax(logits)
        p = np.exp(log_p)
        return -np.einsum("ic,ic->i", p, np.log(p + 1e-6) if variant == "deepcore" else log_p)

    return row_wise(of_rows, require_field(evidence.logits))


@score("margin", needs=("logits",), labels=False, cost="n C", work=row_by_row, parallel="samples", source=_SOURCE)
def margin(evidence: Evidence, variant: Variant = "paper") -> np.ndarray:
    """One minus the lead of the likeliest class over the second, 1 - (p_(1) - p_(2)).

    p_(1) and p_(2) are the largest and the second largest probability. The label is not used.

    Args:
        evidence: with labels and ``logits``.
        variant: no effect on the score. As in DeepCore's code, the method ``margin`` with "deepcore" keeps the lowest
            scores if it is not balanced, as do ``entropy`` and ``least_confidence``.

    Returns:
        (n,) float64 in [0, 1]; high = unsure = keep.
    """
    def of_rows(logits: np.ndarray) -> np.ndarray:
        shares, rows = softmax(logits), np.arange(len(logits))
        likeliest = shares.argmax(axis=1)
        first = shares[rows, likeliest]
        shares[rows, likeliest] = 0  # with a single class the second largest probability is 0
        return 1 - (first - shares.max(axis=1))

    return row_wise(of_rows, require_field(evidence.logits))
