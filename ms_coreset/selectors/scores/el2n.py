"""EL2N: the distance of a network's probabilities from the label."""

from typing import Annotated, Any

import numpy as np

from ms_coreset.evidence import Evidence, require_field
from ms_coreset.rows import row_wise
from ms_coreset.selectors.catalogue import score
from ms_coreset.selectors.estimate import row_by_row
from ms_coreset.selectors.option_values import Whole
from ms_coreset.selectors.scores.grand import DATA_DIET, runs_of
from ms_coreset.selectors.scores.record import mean_over_seen, record_of
from ms_coreset.softmax import softmax

Epoch = Annotated[int, Whole(0)]


def _by_logits(options: dict[str, Any]) -> bool:
    return options["first"] is None and options["last"] is None


@score("el2n", needs=lambda options: ("logits",) if _by_logits(options) else ("dynamics",),
       takes=lambda options: ("runs",) if _by_logits(options) else (), labels=_by_logits, label_columns=_by_logits,
       cost="R n C", work=row_by_row, parallel="samples", source=f"{DATA_DIET}, def. 2.2")
def el2n(evidence: Evidence, first: Epoch | None = None, last: Epoch | None = None) -> np.ndarray:
    """Distance of the class probabilities from the label, mean over runs of ||softmax(z_i) - onehot(y_i)||_2.

    Without ``first`` and ``last`` it uses the logits of ``evidence.runs``, or of the evidence itself. With either, it
    is the mean of the training dynamics' ``error_norm`` over the epochs ``first .. last - 1`` in which the sample was
    seen (CCS: the first ten epochs).

    Args:
        evidence: with labels and ``logits``, or with ``dynamics`` if ``first`` or ``last`` is given.
        first: an epoch, counted from 0.
        last: the epoch after the last one that counts.

    Returns:
        (n,) float64 in [0, sqrt(2)]; high = far from the label = keep; NaN for a sample that was seen in none of the
        epochs.

    Raises:
        MsCoresetError: for labels that are not columns of the logits.
    """
    if first is not None or last is not None:
        return mean_over_seen(*record_of(evidence, "el2n", "error_norm", slice(first, last)))
    return np.mean([_error_norms(run) for run in runs_of(evidence)], axis=0)


def _error_norms(evidence: Evidence) -> np.ndarray:
    def of_rows(labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
        errors = softmax(logits)
        errors[np.arange(len(errors)), labels] -= 1
        return np.sqrt(np.einsum("ic,ic->i", errors, errors))

    return row_wise(of_rows, require_field(evidence.labels), require_field(evidence.logits))
