"""TDDS: how much the change of the answers from epoch to epoch varies near the end of training."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Any

import numpy as np

from ms_coreset.errors import MsCoresetError
from ms_coreset.evidence import Evidence
from ms_coreset.rows import row_wise
from ms_coreset.selectors import row_blocks
from ms_coreset.selectors.catalogue import score
from ms_coreset.selectors.estimate import Size, Work
from ms_coreset.selectors.option_values import Epochs, Whole
from ms_coreset.selectors.scores.dynamic_uncertainty import length_of
from ms_coreset.selectors.scores.record import record_of

LEAST = 3  # epochs of a window: two have a single divergence, which does not deviate from its mean
_DECAY = 0.1
_LARGEST = 1.01  # probability, in low precision
_SMALLEST = 1e-8  # added to probabilities of which the logarithm is taken
Window = Annotated[int, Whole(LEAST)]


def _work(size: Size, options: dict[str, Any]) -> Work:
    """A ring of the divergences of a window, of the default length."""
    return Work(8 * size.n * ((options["window"] or 10) - 1 + 2), size.n * size.columns)


@score("tdds", needs=("dynamics",), labels=False, cost="n T J", work=_work, parallel="samples",
       source="Zhang et al., Spanning Training Progress: Temporal Dual-Depth Scoring for Enhanced Dataset Pruning, "
              "CVPR 2024")
def tdds(evidence: Evidence, window: Window | None = None, epochs: Epochs | None = None) -> np.ndarray:
    """Variation of the divergence between successive epochs in windows of J epochs, with most weight on the last.

    With P_t(i) the probabilities of all classes in epoch t of T, and a window of the epochs k to k + J - 1,

        D_j(i) = sum_c |P_{j+1,c} (ln(P_{j+1,c} + 1e-8) - ln(P_{j,c} + 1e-8))|,     J - 1 values,
        v_k(i) = sqrt(sum_j (D_j - mean_j D_j)^2),
        S(i) = sum_k 0.9 0.1^(T - J - k) v_k(i),     k = 0 .. T - J.

    The weight decreases tenfold with every earlier window: the last two windows make up 99 % of S.

    Departure from the authors' code: that writes the scores in sorted order; here the i-th is sample i's. (DUAL's code
    has a TDDS that uses the same window again and again, and takes logarithms of logits, which gives NaN.)

    Args:
        evidence: with ``dynamics`` that have ``divergence``, or else ``probabilities``.
        window: J, at least 3; by default 10, or all epochs if there are fewer. The authors choose J and T by the rate:
            for CIFAR-100, with 70 % kept, J = 10 and the first 90 epochs.
        epochs: which epochs count, see ``forgetting``; the first of them has no divergence.

    Returns:
        (n,) float64, at least 0; high = varying = keep. A window in which a sample was not seen in every epoch is left
        out, and the weights of the others are scaled to the same sum, which is ours; NaN if no window is left.

    Raises:
        MsCoresetError: for a window that is longer than the epochs, if neither field was recorded, and for
            probabilities outside [0, 1].
    """
    rows = list(_divergences(evidence, epochs))
    deviations = Deviations(len(evidence), length_of(window, len(rows), "tdds", LEAST), np.float64)
    for row in rows:
        deviations.add(row)
    return deviations.score()


def divergence(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The sum_c |p_c (ln(p_c + 1e-8) - ln(q_c + 1e-8))| (B,) of probabilities p = ``after``, q = ``before``, (B, C)."""
    before, after = np.asarray(before, np.float64), np.asarray(after, np.float64)
    return np.abs(after * (np.log(after + _SMALLEST) - np.log(before + _SMALLEST))).sum(axis=1)


def _divergences(evidence: Evidence, epochs: Any) -> Iterator[np.ndarray]:
    """Divergences (n,) of each epoch from the one before; the first is not to be used."""
    whole = getattr(evidence.dynamics, "probabilities", None)
    if getattr(evidence.dynamics, "divergence", None) is not None or whole is None:
        yield from record_of(evidence, "tdds", "divergence", epochs)[0]
        return
    answers, _ = record_of(evidence, "tdds", "probabilities", epochs)
    if (answers < 0).any() or (answers > _LARGEST).any():
        raise MsCoresetError("tdds: probabilities must lie in [0, 1]: these look like logits")
    yield np.full(len(evidence), np.nan)
    for before, after in pairwise(answers):
        yield row_wise(divergence, before, after)


class Deviations:
    """TDDS of n samples as the epochs go by: a ring of J - 1 divergences and two sums, whatever the number of epochs.

    S <- 0.1 S + 0.9 v after every epoch that ends a window; the same for the weights of the windows that count.
    """

    def __init__(self, n: int, window: int, dtype: Any = np.float32) -> None:
        self.epochs, self.whole = 0, 0.0
        self.ring = np.full((window - 1, n), np.nan, dtype)
        self.total, self.weight = np.zeros((2, n))

    def add(self, row: np.ndarray) -> None:
        """Add an epoch.

        Args:
            row: (n,), divergences from the epoch before, NaN where a sample was not seen in both; for the first epoch,
                anything.
        """
        self.epochs += 1
        if self.epochs == 1:
            return
        self.ring[self.epochs % len(self.ring)] = row
        if self.epochs <= len(self.ring):
            return
        self.whole = _DECAY * self.whole + (1 - _DECAY)
        for part in row_blocks.blocks(self.ring.shape[1], 24 * len(self.ring)):
            values = np.asarray(self.ring[:, part], np.float64)
            values = np.sqrt(np.square(values - values.mean(axis=0)).sum(axis=0))
            known = np.isfinite(values)
            self.total[part] = _DECAY * self.total[part] + (1 - _DECAY) * np.where(known, values, 0)
            self.weight[part] = _DECAY * self.weight[part] + (1 - _DECAY) * known

    def score(self) -> np.ndarray:
        """(n,) float64; see ``tdds``."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.total * (self.whole / self.weight)
