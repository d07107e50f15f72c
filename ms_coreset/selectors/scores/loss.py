"""The loss: the cross entropy of the label."""

import numpy as np

from ms_coreset.evidence import Evidence, require_field
from ms_coreset.rows import row_wise
from ms_coreset.selectors.catalogue import score
from ms_coreset.selectors.estimate import row_by_row
from ms_coreset.softmax import cross_entropy


@score("loss", needs=("logits",), label_columns=True, cost="n C", work=row_by_row, parallel="samples",
       source="Zheng et al., CCS, ICLR 2023 (its code)")
def loss(evidence: Evidence) -> np.ndarray:
    """Cross entropy of the label, -log p_y.

    Args:
        evidence: with labels and ``logits``.

    Returns:
        (n,) float64, at least 0 nats; high = large loss = keep.

    Raises:
        MsCoresetError: for labels that are not columns of the logits.
    """
    def of_rows(labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
        return cross_entropy(logits, labels)

    return row_wise(of_rows, require_field(evidence.labels), require_field(evidence.logits))
