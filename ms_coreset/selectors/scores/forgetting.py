"""Forgetting and correctness: how often a sample was forgotten, or right, during training."""

from typing import Annotated

import numpy as np

from ms_coreset.evidence import Evidence
from ms_coreset.selectors.catalogue import score
from ms_coreset.selectors.estimate import row_by_row
from ms_coreset.selectors.option_values import Epochs, OneOf
from ms_coreset.selectors.scores.record import record_of, sum_over_seen


@score("forgetting", needs=("dynamics",), labels=False, cost="n T", work=row_by_row, parallel="samples",
       source="Toneva et al., An Empirical Study of Example Forgetting, ICLR 2019")
def forgetting(evidence: Evidence, never_learned: Annotated[str, OneOf(("epochs", "zero"))] = "epochs",
               epochs: Epochs | None = None) -> np.ndarray:
    """Number of times that a sample was classified correctly and then wrong at its next presentation.

    F_i = #{t : a_i(t-1) = 1, a_i(t) = 0}, with a_i(t) = 1 if sample i was classified correctly in epoch t, else 0, and
    a_i(-1) = 0. Epochs in which a sample was not seen are no presentations of it.

    Args:
        evidence: with labels and ``dynamics``.
        never_learned: the score of a sample that was never correct: "epochs", T (Toneva et al.: hardest), or "zero"
            (DeepCore and CCS: easiest).
        epochs: which epochs count: a number N for the first N, or "A-B" for A to B - 1, counted from 0; None: all.

    Returns:
        (n,) float64 in 0 .. T; high = often forgotten = keep; NaN for a sample that was never seen.
    """
    forgets = Forgetting(len(evidence))
    for correct, seen in zip(*record_of(evidence, "forgetting", "correct", epochs), strict=True):
        forgets.add(correct, seen)
    return forgets.score(never_learned)


@score("correctness", needs=("dynamics",), labels=False, cost="n T", work=row_by_row, parallel="samples",
       source="Swayamdipta et al., Dataset Cartography, EMNLP 2020")
def correctness(evidence: Evidence, epochs: Epochs | None = None) -> np.ndarray:
    """Minus the number of epochs in which a sample was classified correctly.

    For a sample that was seen in m of T epochs it is T / m times their number.

    Args:
        evidence: with labels and ``dynamics``.
        epochs: see ``forgetting``.

    Returns:
        (n,) float64 in -T .. 0; high = seldom correct = keep; NaN for a sample that was never seen.
    """
    return -sum_over_seen(*record_of(evidence, "correctness", "correct", epochs))


class Forgetting:
    """Counts how often n samples were forgotten, epoch by epoch."""

    def __init__(self, n: int) -> None:
        self.epochs = 0
        self.count = np.zeros(n, np.int32)
        self.before, self.ever, self.seen = np.zeros((3, n), bool)

    def add(self, correct: np.ndarray, seen: np.ndarray) -> None:
        """Add an epoch: which samples (n,) were classified correctly, of those that were seen (n,)."""
        correct = np.asarray(correct, bool)
        self.epochs += 1
        self.count += self.before & ~correct & seen
        np.copyto(self.before, correct, where=seen)
        self.ever |= correct & seen
        self.seen |= seen

    def score(self, never_learned: str = "epochs") -> np.ndarray:
        """(n,) float64; see ``forgetting``."""
        forgotten = self.count.astype(np.float64)
        if never_learned == "epochs":
            forgotten[~self.ever] = self.epochs
        forgotten[~self.seen] = np.nan
        return forgotten
